//! The live face of `axonic top`.
//!
//! ratatui draws; keys come straight from the terminal. crossterm's own event reader stays unused,
//! because it leaves a SIGWINCH handler in the process, which may be somebody's interpreter. A new
//! size is noticed by asking for it on every tick instead.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use ratatui::Frame as Screen;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row};

use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::place::Place;
use crate::stop::Stop;
use crate::table::{Align, Table};
use crate::top::{Frame, Meter};
use crate::view::View;

/// How often the domain is measured.
const PERIOD: Duration = Duration::from_secs(1);
/// How often the size of the terminal is looked at.
const TICK_MS: u16 = 200;

/// Draws until `q`, Escape, Ctrl-C or a signal.
pub(crate) fn run(out: Output<'_>, place: &Place, interrupt: &Interrupt) -> Result<(), Stop> {
    // Fails before the screen changes when there is no such domain.
    let mut meter = Meter::default();
    let mut frame = meter.frame(View::take(place, "top")?);
    let mut screen = Guarded::enter(out)?;
    let mut next = Instant::now() + PERIOD;
    loop {
        screen.terminal.draw(|screen| draw(screen, &frame))?;
        if !stays(interrupt)? {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + PERIOD;
            frame = meter.frame(View::take(place, "top")?);
        }
    }
}

/// Waits a tick for a key; `false` when it is time to go.
fn stays(interrupt: &Interrupt) -> Result<bool, Stop> {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match interrupt.poll(&mut fds, PollTimeout::from(TICK_MS)) {
        Ok(false) => return Ok(true),
        Ok(true) => {}
        // The way `top` ends.
        Err(Stop::Interrupted(_)) => return Ok(false),
        Err(stop) => return Err(stop),
    }
    let mut keys = [0; 64];
    match nix::unistd::read(stdin.as_fd(), &mut keys) {
        // The terminal has gone.
        Ok(0) | Err(nix::Error::EIO) => Ok(false),
        Ok(count) => Ok(!asks_to_quit(&keys[..count])),
        Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// `q`, Ctrl-C, Ctrl-D, or Escape alone (arrow keys begin with one, too).
fn asks_to_quit(keys: &[u8]) -> bool {
    keys == [0x1b] || (keys[0] != 0x1b && keys.iter().any(|key| matches!(key, b'q' | b'Q' | 0x03 | 0x04)))
}

/// Writes to a terminal that may vanish. Errors end here: that it has gone shows when a key is
/// read, and ratatui would tell of a failed `drop` on stderr, which has gone as well.
struct Canvas<'a>(Output<'a>);

impl Write for Canvas<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The terminal in its other state; `drop` brings it back, also while a panic unwinds.
struct Guarded<'a> {
    terminal: Terminal<CrosstermBackend<Canvas<'a>>>,
}

impl<'a> Guarded<'a> {
    fn enter(out: Output<'a>) -> Result<Guarded<'a>, Stop> {
        let terminal = Terminal::new(CrosstermBackend::new(Canvas(out)))?;
        enable_raw_mode()?;
        let mut guarded = Guarded { terminal };
        execute!(guarded.terminal.backend_mut(), EnterAlternateScreen, cursor::Hide)?;
        Ok(guarded)
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        let _ = execute!(self.terminal.backend_mut(), LeaveAlternateScreen, cursor::Show);
    }
}

fn draw(screen: &mut Screen<'_>, frame: &Frame) {
    let rows = |table: &Table| u16::try_from(table.rows().len()).unwrap_or(u16::MAX);
    // Most domains have none of some.
    let of_rare = |table: &Table| if table.is_empty() { 0 } else { rows(table).saturating_add(2) };
    let [title, publishers, queues, services, channels, subscribers, footer] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Max(rows(&frame.publishers).saturating_add(2)),
        Constraint::Max(of_rare(&frame.queues)),
        Constraint::Max(of_rare(&frame.services)),
        Constraint::Max(of_rare(&frame.channels)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(screen.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    screen.render_widget(Line::styled(frame.title.as_str(), bold), title);
    draw_table(screen, publishers, &frame.publishers);
    draw_table(screen, queues, &frame.queues);
    draw_table(screen, services, &frame.services);
    draw_table(screen, channels, &frame.channels);
    draw_table(screen, subscribers, &frame.subscribers);
    let dim = Style::new().add_modifier(Modifier::DIM);
    screen.render_widget(Line::styled("q quits; rates per second", dim), footer);
}

fn draw_table(screen: &mut Screen<'_>, area: Rect, table: &Table) {
    let cell = |text: &str, align: Align| {
        let text = Text::from(text.to_owned());
        Cell::from(if align == Align::Right { text.right_aligned() } else { text })
    };
    let heads = table.heads();
    let widths =
        table.widths().into_iter().map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let rows =
        table.rows().iter().map(|row| Row::new(row.iter().zip(heads).map(|(text, head)| cell(text, head.1))));
    let dim = Style::new().add_modifier(Modifier::DIM);
    let head = Row::new(heads.iter().map(|(text, align)| cell(text, *align))).style(dim);
    screen.render_widget(ratatui::widgets::Table::new(rows, widths).header(head).column_spacing(2), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    #[test]
    fn arrow_keys_do_not_quit() {
        for quit in [&b"q"[..], b"\x03", b"\x1b", b"xq"] {
            assert!(asks_to_quit(quit));
        }
        for stay in [&b"\x1b[A"[..], b"x", b"\x1bOq"] {
            assert!(!asks_to_quit(stay));
        }
    }

    #[test]
    fn a_small_terminal_shows_what_fits() {
        let mut publishers = Table::new(["TOPIC", ">MSG/S"]);
        for number in 0..50 {
            publishers.row([format!("topic.{number}"), number.to_string()]);
        }
        let subscribers = Table::new(["PATTERN", ">LAG"]);
        let mut queues = Table::new(["QUEUE", ">READY"]);
        queues.row(["jobs".into(), "7".into()]);
        let mut services = Table::new(["SERVICE", ">CALLS/S"]);
        services.row(["shop".into(), "9".into()]);
        let mut channels = Table::new(["CHANNEL OF", ">SENT/S"]);
        channels.row(["words".into(), "5".into()]);
        let frame = Frame { title: "demo".into(), publishers, subscribers, queues, services, channels };
        for (width, height) in [(1, 1), (20, 4), (80, 24)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|screen| draw(screen, &frame)).unwrap();
        }
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|screen| draw(screen, &frame)).unwrap();
        let shown: String = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
        assert!(
            shown.contains("topic.0")
                && shown.contains("jobs")
                && shown.contains("shop")
                && shown.contains("words")
                && shown.contains("PATTERN")
                && shown.contains("q quits")
        );
    }
}
