//! `axonic top`: the busiest topics and the slowest subscribers, with rates.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::human::{bytes, plural, rate};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::place::Place;
use crate::stop::Outcome;
use crate::table::Table;
use crate::top_screen;
use crate::view::{View, lag, publisher_state, subscriber_state};

const EXAMPLES: &str = "\
Examples:
  axonic top                          live view of the default domain; q or Ctrl-C ends it
  axonic top --domain demo --once     one table of half a second's rates, then end

Without a terminal `top` behaves as with --once.";

/// Watch a domain live: rates of every publisher and subscriber
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Measure for half a second, print one table and end
    #[arg(long, visible_alias = "plain")]
    once: bool,
}

/// How long `--once` measures.
const SAMPLE: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut out = Output::interruptible(&interrupt)?;
    if out.is_terminal() && std::io::stdin().is_terminal() && !args.once {
        top_screen::run(out, place, &interrupt)?;
        return Ok(0);
    }
    let mut meter = Meter::default();
    meter.frame(View::take(place, "top")?);
    let end = Instant::now() + SAMPLE;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        interrupt.poll(&mut [], PollTimeout::from(millis))?;
    }
    let frame = meter.frame(View::take(place, "top")?);
    writeln!(out, "{}", frame.title)?;
    for table in [&frame.publishers, &frame.subscribers] {
        writeln!(out)?;
        table.print(&mut out, 0)?;
    }
    out.flush()?;
    Ok(0)
}

/// One state of the view.
pub(crate) struct Frame {
    pub(crate) title: String,
    /// The busiest first.
    pub(crate) publishers: Table,
    /// The one that lags most first.
    pub(crate) subscribers: Table,
}

/// Counters of a publisher or subscriber: messages, bytes, missed.
type Counters = [u64; 3];

/// Turns counters into rates: it remembers the previous ones.
#[derive(Default)]
pub(crate) struct Meter {
    /// By id; publisher and subscriber ids may coincide, hence the flag.
    before: HashMap<(bool, u64), Counters>,
    at: Option<Instant>,
}

impl Meter {
    /// The next frame; its rates cover the time since the previous one (the first has none).
    pub(crate) fn frame(&mut self, view: View) -> Frame {
        let now = Instant::now();
        let seconds = self.at.map_or(0.0, |then| (now - then).as_secs_f64());
        let snapshot = &view.snapshot;
        let publishing: HashMap<(bool, u64), Counters> =
            snapshot.publishers.iter().map(|p| ((true, p.id), [p.published, p.bytes, 0])).collect();
        let receiving = snapshot.subscribers.iter().map(|s| ((false, s.id), [s.received, s.bytes, s.missed]));
        let counters: HashMap<(bool, u64), Counters> = publishing.into_iter().chain(receiving).collect();
        let rates = Rates { before: &self.before, now: &counters, seconds };
        let frame = Frame {
            title: title(&view),
            publishers: publishers(&view, &rates),
            subscribers: subscribers(&view, &rates),
        };
        self.before = counters;
        self.at = Some(now);
        frame
    }
}

struct Rates<'a> {
    before: &'a HashMap<(bool, u64), Counters>,
    now: &'a HashMap<(bool, u64), Counters>,
    seconds: f64,
}

impl Rates<'_> {
    /// Per second; zero for what was not there before.
    fn of(&self, publisher: bool, id: u64) -> [f64; 3] {
        let key = (publisher, id);
        match (self.before.get(&key), self.now.get(&key)) {
            (Some(before), Some(now)) if self.seconds > 0.0 => {
                std::array::from_fn(|i| now[i].saturating_sub(before[i]) as f64 / self.seconds)
            }
            _ => [0.0; 3],
        }
    }
}

fn title(view: &View) -> String {
    let snapshot = &view.snapshot;
    let alive = snapshot.participants.iter().filter(|p| p.alive).count();
    let participants = plural(alive as u64, "participant");
    format!("{}  {participants}, {} of shared memory", snapshot.domain, bytes(snapshot.bytes))
}

fn publishers(view: &View, rates: &Rates<'_>) -> Table {
    let mut table =
        Table::new(["TOPIC", "PUBLISHER", ">MSG/S", ">BYTES/S", ">PUBLISHED", ">BLOCKED", ">SLAB", "STATE"]);
    let mut all: Vec<_> = view.snapshot.publishers.iter().map(|p| (rates.of(true, p.id), p)).collect();
    all.sort_by(|(a, p), (b, q)| b[0].total_cmp(&a[0]).then_with(|| p.topic.cmp(&q.topic)));
    for ([messages, volume, _], p) in all {
        table.row([
            p.topic.clone(),
            view.who(&p.participant),
            rate(messages),
            bytes(volume as u64),
            p.published.to_string(),
            p.blocked.to_string(),
            bytes(p.slab_bytes),
            publisher_state(view, p).into(),
        ]);
    }
    table
}

fn subscribers(view: &View, rates: &Rates<'_>) -> Table {
    let mut table =
        Table::new(["PATTERN", "SUBSCRIBER", ">MSG/S", ">BYTES/S", ">MISSED/S", ">LAG", ">PINNED", "STATE"]);
    let mut all: Vec<_> = view.snapshot.subscribers.iter().map(|s| (rates.of(false, s.id), s)).collect();
    all.sort_by(|(a, s), (b, t)| {
        lag(t).cmp(&lag(s)).then(b[0].total_cmp(&a[0])).then_with(|| s.pattern.cmp(&t.pattern))
    });
    for ([messages, volume, missed], s) in all {
        table.row([
            s.pattern.clone(),
            view.who(&s.participant),
            rate(messages),
            bytes(volume as u64),
            rate(missed),
            lag(s).to_string(),
            s.pinned.to_string(),
            subscriber_state(view, s).into(),
        ]);
    }
    table
}
