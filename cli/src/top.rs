//! `axonic top`: the busiest topics, queues, services and channels and the slowest subscribers, with rates.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::channels::{channel_state, end, state};
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

/// Watch a domain live: rates of every publisher, subscriber, queue, service and channel
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
    let until = Instant::now() + SAMPLE;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        interrupt.poll(&mut [], PollTimeout::from(millis))?;
    }
    let frame = meter.frame(View::take(place, "top")?);
    writeln!(out, "{}", frame.title)?;
    // Most domains have none of some.
    let rare =
        [&frame.queues, &frame.services, &frame.channels].into_iter().filter(|table| !table.is_empty());
    for table in [&frame.publishers, &frame.subscribers].into_iter().chain(rare) {
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
    /// The busiest first.
    pub(crate) queues: Table,
    /// The busiest first.
    pub(crate) services: Table,
    /// The busiest first.
    pub(crate) channels: Table,
}

/// Counters of a publisher or subscriber: messages, bytes, missed; of a queue: put, acknowledged, returned; of a service:
/// calls; of a channel: what its client sent, and its server.
type Counters = [u64; 3];

/// Whose counters they are.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Of {
    Publisher(u64),
    Subscriber(u64),
    Queue(String),
    Service(u64),
    Channel(u64),
}

/// Turns counters into rates: it remembers the previous ones.
#[derive(Default)]
pub(crate) struct Meter {
    before: HashMap<Of, Counters>,
    at: Option<Instant>,
}

impl Meter {
    /// The next frame; its rates cover the time since the previous one (the first has none).
    pub(crate) fn frame(&mut self, view: View) -> Frame {
        let now = Instant::now();
        let seconds = self.at.map_or(0.0, |then| (now - then).as_secs_f64());
        let snapshot = &view.snapshot;
        let publishing = snapshot.publishers.iter().map(|p| (Of::Publisher(p.id), [p.published, p.bytes, 0]));
        let receiving =
            snapshot.subscribers.iter().map(|s| (Of::Subscriber(s.id), [s.received, s.bytes, s.missed]));
        let working = snapshot
            .queues
            .iter()
            .map(|q| (Of::Queue(q.name.clone()), [q.stats.put, q.stats.acked, q.stats.returned]));
        let serving = snapshot.services.iter().map(|s| (Of::Service(s.id), [s.calls, 0, 0]));
        let talking = snapshot.channels.iter().map(|c| {
            let server = c.server.as_ref().map_or(0, |server| server.records);
            (Of::Channel(c.id), [c.client.records, server, 0])
        });
        let counters: HashMap<Of, Counters> =
            publishing.chain(receiving).chain(working).chain(serving).chain(talking).collect();
        let rates = Rates { before: &self.before, now: &counters, seconds };
        let frame = Frame {
            title: title(&view),
            publishers: publishers(&view, &rates),
            subscribers: subscribers(&view, &rates),
            queues: queues(&view, &rates),
            services: services(&view, &rates),
            channels: channels(&view, &rates),
        };
        self.before = counters;
        self.at = Some(now);
        frame
    }
}

struct Rates<'a> {
    before: &'a HashMap<Of, Counters>,
    now: &'a HashMap<Of, Counters>,
    seconds: f64,
}

impl Rates<'_> {
    /// Per second; zero for what was not there before.
    fn of(&self, key: &Of) -> [f64; 3] {
        match (self.before.get(key), self.now.get(key)) {
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
    let mut all: Vec<_> =
        view.snapshot.publishers.iter().map(|p| (rates.of(&Of::Publisher(p.id)), p)).collect();
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
    let mut all: Vec<_> =
        view.snapshot.subscribers.iter().map(|s| (rates.of(&Of::Subscriber(s.id)), s)).collect();
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

fn queues(view: &View, rates: &Rates<'_>) -> Table {
    let mut table =
        Table::new(["QUEUE", ">PUT/S", ">ACKED/S", ">RETURNED/S", ">READY", ">HELD", ">DEAD", ">CONSUMERS"]);
    let mut all: Vec<_> =
        view.snapshot.queues.iter().map(|q| (rates.of(&Of::Queue(q.name.clone())), q)).collect();
    all.sort_by(|(a, q), (b, r)| b[0].total_cmp(&a[0]).then_with(|| q.name.cmp(&r.name)));
    for ([put, acked, returned], q) in all {
        table.row([
            q.name.clone(),
            rate(put),
            rate(acked),
            rate(returned),
            q.stats.ready.to_string(),
            q.stats.leased.to_string(),
            q.stats.dead.to_string(),
            q.consumers.to_string(),
        ]);
    }
    table
}

fn services(view: &View, rates: &Rates<'_>) -> Table {
    let mut table = Table::new([
        "SERVICE", "VERSION", "PROVIDER", ">CALLS/S", ">AT WORK", ">CLIENTS", ">WAITING", ">UNREAD", "STATE",
    ]);
    let mut all: Vec<_> = view.snapshot.services.iter().map(|s| (rates.of(&Of::Service(s.id)), s)).collect();
    all.sort_by(|(a, s), (b, t)| b[0].total_cmp(&a[0]).then_with(|| s.name.cmp(&t.name)));
    for ([calls, ..], s) in all {
        table.row([
            s.name.clone(),
            s.version.clone(),
            view.who(&s.participant),
            rate(calls),
            s.at_work.to_string(),
            s.clients.to_string(),
            s.waiting.to_string(),
            bytes(s.unread_bytes),
            state(view, s.alive, &s.participant).into(),
        ]);
    }
    table
}

fn channels(view: &View, rates: &Rates<'_>) -> Table {
    let mut table = Table::new([
        "CHANNEL OF",
        "CLIENT",
        "SERVER",
        ">SENT/S",
        ">BACK/S",
        ">TO SERVER",
        ">TO CLIENT",
        "STATE",
    ]);
    let mut all: Vec<_> = view.snapshot.channels.iter().map(|c| (rates.of(&Of::Channel(c.id)), c)).collect();
    all.sort_by(|(a, c), (b, d)| {
        (b[0] + b[1]).total_cmp(&(a[0] + a[1])).then_with(|| c.listener.cmp(&d.listener))
    });
    for ([there, back, _], c) in all {
        let server = c.server.as_ref();
        table.row([
            if c.listener.is_empty() { "-".into() } else { c.listener.clone() },
            end(&c.client),
            server.map_or("-".into(), end),
            rate(there),
            rate(back),
            bytes(c.client.pending_bytes),
            server.map_or("-".into(), |server| bytes(server.pending_bytes)),
            channel_state(c).into(),
        ]);
    }
    table
}
