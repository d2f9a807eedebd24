//! What happens beside the answers of calls: who came, who died, what was removed.
//!
//! The core tells it with `tracing`, on its cold paths and with no lock held, so a listener may use the library.
//! A Rust program listens with a `tracing` subscriber of its choice. This module is for the skins, whose languages
//! have loggers of their own: it makes records of the core's events, and for those that may not run foreign code
//! in the middle of a call it keeps them until that is over ([`keep`], [`tell`]).

use crate::error::{Error, ErrorKind, Result};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// How much a record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The ordinary course: what was opened and closed, who met whom.
    Debug,
    /// What its user may want to know: somebody died, leftovers were removed.
    Info,
    /// Something was lost or could not be done.
    Warn,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// The noun, its name, what happened.
    pub text: String,
}

/// Hands every record to `hear` from now on, on the thread it happens on and within the call it happens in.
/// The first listener of a process stays; `Busy` if the program has a `tracing` subscriber of its own.
pub fn listen(hear: fn(Record)) -> Result<()> {
    static LISTENING: OnceLock<bool> = OnceLock::new();
    let listening = LISTENING.get_or_init(|| tracing::subscriber::set_global_default(Listener(hear)).is_ok());
    listening.then_some(()).ok_or_else(|| {
        let text = "log: this program listens with a `tracing` subscriber of its own; use that one";
        Error::new(ErrorKind::Busy, text)
    })
}

struct Listener(fn(Record));

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("axonic::") && *metadata.level() <= tracing::Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR | tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let mut record = Record { level, text: String::new() };
        event.record(&mut record);
        self.0(record);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        }
    }
}

/// Most records one thread keeps. Beyond, the oldest go: a thread that never calls again must not fill the memory.
const MOST: usize = 1000;

/// Records kept by all threads together: zero, nearly always, tells [`tell`] that there is nothing to do.
static KEPT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own { records: VecDeque::new(), telling: false }) };
}

/// What this thread has not told yet.
struct Own {
    records: VecDeque<Record>,
    /// Its listener is running: what that one's own calls would tell is dropped, or it might never end.
    telling: bool,
}

impl Drop for Own {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.records.len(), Ordering::Relaxed);
    }
}

/// Keeps a record for this thread's next [`tell`].
pub fn keep(record: Record) {
    // A thread that is ending tells nothing any more.
    let _ = OWN.try_with(|own| {
        let mut own = own.borrow_mut();
        if own.telling {
            return;
        }
        if own.records.len() < MOST {
            KEPT.fetch_add(1, Ordering::Relaxed);
        } else {
            own.records.pop_front();
        }
        own.records.push_back(record);
    });
}

/// Tells what this thread has kept, oldest first. Called when a call is over: no lock is held.
#[inline]
pub fn tell(hear: impl FnMut(Record)) {
    if KEPT.load(Ordering::Relaxed) > 0 {
        tell_kept(hear);
    }
}

#[cold]
fn tell_kept(hear: impl FnMut(Record)) {
    let taken = OWN.try_with(|own| {
        let mut own = own.borrow_mut();
        // While it tells, nothing is kept: these are the records of calls before.
        let records = std::mem::take(&mut own.records);
        own.telling |= !records.is_empty();
        records
    });
    let Some(records) = taken.ok().filter(|records| !records.is_empty()) else { return };
    KEPT.fetch_sub(records.len(), Ordering::Relaxed);
    let _told = Told;
    records.into_iter().for_each(hear);
}

/// Ends the telling, also when the listener panics.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        let _ = OWN.try_with(|own| own.borrow_mut().telling = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug, info};

    fn told() -> Vec<String> {
        let mut texts = Vec::new();
        tell(|record| texts.push(record.text));
        texts
    }

    /// A thread's records wait for its own next `tell`; what its listener causes is not told.
    #[test]
    fn records_are_kept_until_the_call_is_over() {
        listen(keep).unwrap();
        listen(keep).unwrap();
        told();
        info!("one of {}", 2);
        debug!("two");
        std::thread::spawn(|| {
            info!("elsewhere");
            assert_eq!(told(), ["elsewhere"]);
        })
        .join()
        .unwrap();
        let mut records = Vec::new();
        tell(|record| {
            info!("of the listener's doing");
            records.push(record);
        });
        let record = |level, text: &str| Record { level, text: text.into() };
        assert_eq!(records, [record(Level::Info, "one of 2"), record(Level::Debug, "two")]);
        assert_eq!(told(), [""; 0]);
        info!("three");
        assert_eq!(told(), ["three"]);
    }

    #[test]
    fn beyond_the_limit_the_oldest_go() {
        listen(keep).unwrap();
        told();
        (0..MOST + 5).for_each(|n| info!("{n}"));
        let texts = told();
        assert_eq!((texts.len(), texts[0].as_str()), (MOST, "5"));
    }
}
