//! One picture per group of cases: horizontal bars on a logarithmic scale, as SVG.

use crate::markdown::amount;
use crate::report::Row;
use std::fmt::Write;

/// File names and the cases each shows.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("floor", &["floor_ping_pong", "floor_futex", "floor_copy"]),
    ("one_way", &["floor_ping_pong", "one_way_spin", "loan_borrow"]),
    ("round_trip", &["round_trip_spin", "round_trip_adaptive", "floor_futex", "round_trip_blocking"]),
    ("event_loop", &["round_trip_event_loop"]),
    ("throughput", &["throughput", "ring"]),
    ("fan_out", &["fan_out", "many_topics"]),
    ("opening", &["open_and_first_publish", "memory"]),
    ("calls", &["binding_call"]),
    ("queue", &["queue", "queue_pending"]),
    (
        "durable",
        &["durable_unsynced", "floor_durable", "durable_sync_each", "durable_group_commit", "durable_reopen"],
    ),
    ("rpc", &["call_spin", "call_adaptive", "call_blocking", "call_many", "call_json"]),
    ("framed", &["framed_socket", "framed_pipe"]),
    ("mutex", &["mutex", "mutex_contended"]),
];

const LABEL: f64 = 430.0;
const BARS: f64 = 420.0;
const HEIGHT: f64 = 18.0;

/// A picture of the rows of these cases, one panel per case and unit; nothing when there are none.
pub fn svg(rows: &[Row], cases: &[&str]) -> Option<String> {
    let mut body = String::new();
    let mut y = 0.0;
    for case in cases {
        let of_case: Vec<&Row> = rows.iter().filter(|row| row.case == *case).collect();
        for unit in ["ns", "msgs_per_s", "bytes_per_s", "bytes"] {
            let panel: Vec<&Row> = of_case.iter().copied().filter(|row| row.unit == unit).collect();
            if !panel.is_empty() {
                y = draw(&mut body, y, case, unit, panel);
            }
        }
    }
    let width = LABEL + BARS + 100.0;
    (!body.is_empty()).then(|| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" height=\"{y}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             {body}</svg>\n"
        )
    })
}

/// Draws a panel at `y`, sorted so that the best of each size is first, and answers where the next one goes.
fn draw(body: &mut String, mut y: f64, case: &str, unit: &str, mut rows: Vec<&Row>) -> f64 {
    let better = if rows[0].is_rate() { "more is better" } else { "less is better" };
    let title = format!("{case} ({unit}, p50, logarithmic, {better})");
    let _ = writeln!(body, "<text x=\"8\" y=\"{}\" font-weight=\"bold\">{title}</text>", y + 20.0);
    y += 30.0;
    rows.sort_by(|a, b| {
        let order = a.p50.total_cmp(&b.p50);
        (a.size, &a.metric).cmp(&(b.size, &b.metric)).then(if a.is_rate() { order.reverse() } else { order })
    });
    let logarithms = rows.iter().map(|row| row.p50.max(1e-9).log10());
    let low = logarithms.clone().fold(f64::INFINITY, f64::min).floor();
    let high = logarithms.fold(f64::NEG_INFINITY, f64::max);
    for row in rows {
        let part = (row.p50.max(1e-9).log10() - low) / (high - low).max(0.1);
        let length = (part * BARS).max(1.0);
        let metric = if matches!(row.metric.as_str(), "latency" | "rate") { "" } else { row.metric.as_str() };
        let fill = match (row.is_axonic(), row.is_floor()) {
            (true, _) => "#1f6fb2",
            (_, true) => "#999999",
            _ => "#d08a2e",
        };
        let (text, x, middle) = (y + 13.0, LABEL + length + 6.0, LABEL - 8.0);
        let _ = writeln!(
            body,
            "<text x=\"{middle}\" y=\"{text}\" text-anchor=\"end\">{} {metric} {} B</text>\
             <rect x=\"{LABEL}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{fill}\"/>\
             <text x=\"{x:.1}\" y=\"{text}\">{}</text>",
            row.subject,
            row.size,
            y + 2.0,
            amount(row.p50, &row.unit)
        );
        y += HEIGHT;
    }
    y + 14.0
}
