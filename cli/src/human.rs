//! Numbers and names as a person reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `1536` as `1.5 KiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would print as 1024.0: move on to the next unit a little early.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = format!("{value:.1}");
    format!("{} {}", number.strip_suffix(".0").unwrap_or(&number), UNITS[unit])
}

/// A rate of things per second: `0`, `12`, `3.4 k`, `1.2 M`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        r if r < 0.05 => "0".to_owned(),
        r if r < 10.0 => format!("{r:.1}"),
        r if r < 999.5 => format!("{r:.0}"),
        r if r < 999_950.0 => format!("{:.1} k", r / 1e3),
        r if r < 999_950_000.0 => format!("{:.1} M", r / 1e6),
        r => format!("{:.1} G", r / 1e9),
    }
}

/// `3 s`, `2m 05s`, `4h 07m`, `9d 03h`.
pub(crate) fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// How long ago an instant in milliseconds since 1970 was.
pub(crate) fn since(unix_ms: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(unix_ms);
    duration(SystemTime::now().duration_since(then).unwrap_or_default())
}

/// `1 topic`, `2 topics`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// What another process wrote, made safe to print: control characters (escape sequences among
/// them) become `?`, and an empty text a dash.
pub(crate) fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What fits into a column of a table: at most so many characters, an ellipsis in place of those that are left out.
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut shown = printable(text);
    if let Some((end, _)) = shown.char_indices().nth(most) {
        let last = shown[..end].char_indices().last().map_or(0, |(at, _)| at);
        shown.truncate(last);
        shown.push('…');
    }
    shown
}

/// How a participant calls itself, which may be a whole program (`python -c ...`).
pub(crate) fn label(text: &str) -> String {
    short(text, 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_use_the_largest_unit_that_fits() {
        let cases: &[(u64, &str)] = &[
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            ((1 << 20) - 1, "1 MiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(*count), *text);
        }
    }

    #[test]
    fn rates_stay_short() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (1.25, "1.2"),
            (42.0, "42"),
            (999.4, "999"),
            (1500.0, "1.5 k"),
            (2.5e6, "2.5 M"),
            (3e9, "3.0 G"),
        ];
        for (value, text) in cases {
            assert_eq!(rate(*value), *text);
        }
    }

    #[test]
    fn durations_show_two_units() {
        let cases: &[(u64, &str)] = &[
            (0, "0 s"),
            (59, "59 s"),
            (125, "2m 05s"),
            (3600 * 4 + 60 * 7, "4h 07m"),
            (86_400 * 9 + 3 * 3600, "9d 03h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs(*seconds)), *text);
        }
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(short("größer", 6), "größer");
        assert_eq!(short("größer!", 6), "größe…");
        assert_eq!(label(&"x\n".repeat(100)).chars().count(), 40);
        assert_eq!(short("", 1), "-");
    }

    #[test]
    fn escape_sequences_of_others_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a?[2Jb?");
        assert_eq!(printable(""), "-");
    }
}
