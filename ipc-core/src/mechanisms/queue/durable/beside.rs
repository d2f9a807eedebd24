//! For event loops: a thread does the file work of a durable queue, so that the calls of other handles do none.
//!
//! They name what has changed, as ever, and wake the thread. What it could not write is told by the next of them: nobody
//! hears a thread of its own. Who waits for the disk without a thread of its own is told by this one, one sync for all who
//! asked before it began.

use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::log;
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::{Fsync, QueueConsumer, QueueOptions, QueueProducer};
use crate::sys::clock::monotonic_nanos;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use tracing::warn;

/// How long the thread gathers changes that nobody waits for: to be woken for each one would cost who makes them more than
/// to write them.
const GATHER: Duration = Duration::from_millis(1);
/// How long the disk, or another process that writes, may hold up the thread before that is told, and its end.
const MOST: Duration = Duration::from_secs(1);
/// After a failure the disk is tried again this often, if nothing changes meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes what is put into a durable queue and settled, and syncs it as its [`Fsync`] says, in a thread of its own: for
/// handles in an event loop ([`QueueProducer::leave_writing_to`]). May be shared by threads; its thread ends with it.
pub struct QueueWriter {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    producer: QueueProducer,
}

/// Hears that what was put and settled before is on the disk, or why it is not.
type Hear = Box<dyn FnOnce(Result<()>) + Send>;

/// What the thread shares with those it writes for.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// Why the last attempt failed, until somebody tells it.
    failure: Option<Error>,
    /// Those who wait for the disk, in the order in which they came.
    waiting: Vec<Hear>,
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many wait for the disk; `None`: it is over.
    fn waiting(&self) -> Option<usize> {
        self.with(|state| (!state.ended).then_some(state.waiting.len()))
    }

    /// Tells the first of those who wait.
    fn tell(&self, first: usize, done: impl Fn() -> Result<()>) {
        let told: Vec<Hear> = self.with(|state| {
            let first = first.min(state.waiting.len());
            state.waiting.drain(..first).collect()
        });
        told.into_iter().for_each(|hear| hear(done()));
    }

    /// What was named is not on the disk. They wait on where somebody else only holds it up.
    fn fail(&self, first: usize, e: Error) {
        if e.kind() != ErrorKind::Timeout {
            self.tell(first, || Err(Error::new(e.kind(), e.to_string())));
        }
        self.with(|state| state.failure = Some(e));
    }
}

/// The thread, as those know it that it writes for.
pub struct Beside {
    thread: Thread,
    shared: Arc<Shared>,
}

impl Beside {
    /// Whether it writes what was named before: at its end it does so once more, but for a thread that panicked, whose part
    /// falls to whoever writes next.
    pub fn is_there(&self) -> bool {
        !self.shared.with(|state| state.ended)
    }

    /// There is something to write.
    pub fn ask(&self, handle: &Handle) {
        if let Some(e) = self.shared.with(|state| state.failure.take()) {
            warn!("queue '{}': what was put and settled is not written yet: {e}", handle.name());
        }
        self.thread.unpark();
    }
}

impl Domain {
    /// Opens the queue `name` for writing it beside an event loop. Where it is in memory only, there is nothing to write
    /// and no thread.
    pub fn queue_writer(&self, name: &str, options: &QueueOptions) -> Result<QueueWriter> {
        let producer = self.queue_producer(name, options)?;
        let shared = Arc::<Shared>::default();
        let (handle, seen) = (producer.handle().clone(), shared.clone());
        let thread = producer.fsync().map(|fsync| {
            let run = move || run(&handle, fsync, &seen);
            thread::Builder::new().name("axonic-disk".into()).spawn(run)
        });
        let thread = thread.transpose().map_err(|e| not_started(name, &e))?;
        Ok(QueueWriter { thread, shared, producer })
    }
}

fn not_started(name: &str, e: &std::io::Error) -> Error {
    let text = format!(
        "queue '{name}': no thread could be started to write its journal: {e}; raise the limit of this user's or this container's threads (`ulimit -u`)"
    );
    Error::new(ErrorKind::LimitReached, text)
}

/// Nobody leaves anything to a thread that has ended, by a panic too, or waits for it.
struct End<'a>(&'a Handle, &'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.1.with(|state| state.ended = true);
        self.1.tell(usize::MAX, || Err(ended(self.0)));
    }
}

fn ended(handle: &Handle) -> Error {
    let text = format!(
        "queue '{}': its writer ended while the disk was waited for; what was put is accepted, and is written when the last one closes the queue",
        handle.name()
    );
    Error::new(ErrorKind::Closed, text)
}

fn run(handle: &Handle, fsync: Fsync, shared: &Shared) {
    let _end = End(handle, shared);
    while let Some(waiting) = shared.waiting() {
        let pause = match handle.catch_up(fsync == Fsync::Always || waiting > 0) {
            Ok(due) => {
                shared.tell(waiting, || Ok(()));
                due.map(|due| Duration::from_nanos(due.saturating_sub(monotonic_nanos())))
            }
            Err(e) => {
                shared.fail(waiting, e);
                Some(AGAIN)
            }
        };
        // What happened on the way is kept for calls of this thread, of which there are none.
        log::tell(drop);
        if shared.waiting().is_none_or(|waiting| waiting > 0) {
            continue;
        }
        pause.map_or_else(thread::park, thread::park_timeout);
        if fsync != Fsync::Always && shared.waiting() == Some(0) {
            thread::sleep(GATHER);
        }
    }
}

impl Handle {
    /// Writes what was named, and syncs it if that is due or to be at once. When it will be due, if that is not now.
    fn catch_up(&self, at_once: bool) -> Result<Option<u64>> {
        if at_once { self.sync(Some(MOST)).map(|()| None) } else { self.flush() }
    }

    fn leave_writing_to(&self, writer: &QueueWriter) -> Result<()> {
        let other = writer.producer.handle();
        if (self.name(), self.domain().path()) != (other.name(), other.domain().path()) {
            return Err(self.not_of_this(other));
        }
        if other.domain().forked() {
            // The thread is the parent's.
            return Ok(());
        }
        if let (Some(log), Some(thread)) = (&self.log, &writer.thread) {
            let _ = log.beside.set(Beside { thread: thread.thread().clone(), shared: writer.shared.clone() });
        }
        Ok(())
    }

    #[cold]
    fn not_of_this(&self, other: &Handle) -> Error {
        let text = format!(
            "queue '{}' of {}: this writer is of another one, '{}' of {}; leave it to a writer of the same queue",
            self.name(),
            self.domain().path().display(),
            other.name(),
            other.domain().path().display()
        );
        Error::new(ErrorKind::InvalidArgument, text)
    }
}

impl QueueWriter {
    /// Returns when everything that was put into this queue and settled before is on the disk; at once if it has no
    /// journal.
    pub fn sync(&self, timeout: Option<Duration>) -> Result<()> {
        self.producer.handle().check_own()?;
        self.producer.handle().check_open()?;
        self.producer.handle().sync(timeout)
    }

    /// The same without waiting: `hear` is told, by the writer's thread or by whoever ends it, and is to be brief. One sync
    /// serves all who asked before it began. If it ends before, that is `Closed`; in a forked child it is refused.
    pub fn sync_then(&self, hear: impl FnOnce(Result<()>) + Send + 'static) -> Result<()> {
        self.producer.handle().check_own()?;
        self.producer.handle().check_open()?;
        let Some(thread) = &self.thread else {
            hear(Ok(()));
            return Ok(());
        };
        let left = self.shared.with(|state| {
            let (hear, ended): (Hear, _) = (Box::new(hear), state.ended);
            if ended {
                Some(hear)
            } else {
                state.waiting.push(hear);
                None
            }
        });
        match left {
            Some(hear) => hear(Err(ended(self.producer.handle()))),
            None => thread.thread().unpark(),
        }
        Ok(())
    }
}

impl QueueProducer {
    /// From now on the writer's thread does the file work of this handle, and `purge` does not wait for the disk. What does
    /// are puts and acknowledgements that are to be durable, whoever is thousands of changes ahead of the thread, and the
    /// handle's end. Where the writer ends before, the handle does its file work itself again. `InvalidArgument` if the
    /// writer is of another queue. A forked child has neither its parent's thread nor its writer: it is to open one.
    pub fn leave_writing_to(&mut self, writer: &QueueWriter) -> Result<()> {
        self.enter()?;
        self.handle().leave_writing_to(writer)
    }
}

impl QueueConsumer {
    /// As [`QueueProducer::leave_writing_to`], for its deliveries too.
    pub fn leave_writing_to(&mut self, writer: &QueueWriter) -> Result<()> {
        self.enter()?;
        self.handle().leave_writing_to(writer)
    }
}

impl Drop for QueueWriter {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.producer.handle().domain().forked() {
            // The thread is the parent's.
            std::mem::forget(thread);
            return;
        }
        self.shared.with(|state| state.ended = true);
        thread.thread().unpark();
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < MOST {
            thread::sleep(Duration::from_micros(100));
        }
        // One that is held up ends when it goes on.
        if thread.is_finished() {
            let _ = thread.join();
        }
        self.shared.tell(usize::MAX, || Err(ended(self.producer.handle())));
    }
}

#[cfg(test)]
mod tests {
    use super::super::power::domain;
    use super::*;

    #[test]
    fn nothing_is_left_to_a_thread_that_panicked() {
        let (_place, domain) = domain();
        let options = QueueOptions { durable: Some(Fsync::Never), ..Default::default() };
        let mut producer = domain.queue_producer("jobs", &options).unwrap();
        let shared = Arc::<Shared>::default();
        let (handle, seen) = (producer.handle().clone(), shared.clone());
        let (is_left, panics) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _end = End(&handle, &seen);
            panics.recv().expect("what was to be written");
        });
        let log = producer.handle().log.as_ref().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        shared.with(|state| state.waiting.push(Box::new(move |done| tell.send(done).unwrap())));
        assert!(log.beside.set(Beside { thread: thread.thread().clone(), shared }).is_ok());
        producer.put(b"is left to it", None).unwrap();
        assert_eq!(producer.handle().flush().unwrap(), None);
        assert_eq!(producer.handle().written(), 0);
        drop(is_left);
        thread.join().unwrap_err();
        assert_eq!(told.recv().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        producer.handle().flush().unwrap();
        assert_eq!(producer.handle().written(), 1);
    }
}
