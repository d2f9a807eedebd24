//! Who waits for the disk: one of them writes and syncs for all.

use super::lock::Writer;
use super::{Fsync, Log, PATIENCE};
use crate::domain::Wait;
use crate::domain::asked::Asker;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::queue::handle::Handle;
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use std::time::{Duration, Instant};

/// How long one stays awake at most for a sync of somebody else.
const AWAKE: Duration = Duration::from_micros(500);

impl Handle {
    /// Waits until the log lane is on the disk up to `position`, and sees to it, if nobody else does.
    pub(super) fn wait_durable(&self, position: u64, deadline: &Deadline) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let (journal, mut asker) = (self.store.journal(), Asker::new());
        loop {
            let turn = journal.turns.load(Ordering::Acquire);
            if self.durable()? >= position {
                return Ok(());
            }
            if let Some(mut writer) = Writer::begin(self, log, None)? {
                self.linger();
                let synced = self.write_named(&mut writer).and_then(|()| self.sync_named(&mut writer));
                writer.end();
                synced?;
                // Whoever found the lock taken meanwhile, and does not wait for the disk, relies on us. Ours is on the disk
                // whatever becomes of that.
                if self.owes() || log.fsync != Fsync::Always && self.is_behind().unwrap_or(false) {
                    self.write_out(None).unwrap_or_else(|e| self.tell_unwritten(&e));
                }
                if self.durable()? < position {
                    return Err(self.damaged("what was named is not there to be written down"));
                }
                continue;
            }
            if deadline.passed() {
                let text =
                    format!("queue '{}': not on the disk in time; it is accepted, and will be", self.name());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            if self.turned(log, turn) {
                continue;
            }
            asker.ask()?;
            self.await_turn(turn, deadline);
        }
    }

    /// Stays awake for as long as a sync may take, if that is not long: on an idle processor, to be woken takes as long
    /// again, and whoever wakes several is not done before. Whether somebody has given the lock back since `turn`.
    fn turned(&self, log: &Log, turn: u64) -> bool {
        let journal = self.store.journal();
        let pace = Duration::from_nanos(journal.pace.load(Ordering::Relaxed));
        let (begun, limit) = (Instant::now(), (2 * pace).min(AWAKE));
        while log.wait != Wait::Block && begun.elapsed() < limit {
            if journal.turns.load(Ordering::Acquire) != turn {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Before a sync: those whom the last one served may be about to ask for the next. They are given up to a quarter of
    /// the time that a sync takes, so that it serves all of them again.
    fn linger(&self) {
        let journal = self.store.journal();
        let durable = journal.durable.load(Ordering::Relaxed);
        let (group, pace) = (
            journal.group.load(Ordering::Relaxed),
            Duration::from_nanos(journal.pace.load(Ordering::Relaxed)),
        );
        let begun = Instant::now();
        while journal.log.tail.load(Ordering::Relaxed) < durable.saturating_add(group)
            && begun.elapsed() < (pace / 4).min(PATIENCE / 4)
        {
            std::thread::yield_now();
        }
    }

    /// Everything that was put and settled before is on the disk when this returns.
    pub fn sync(&self, timeout: Option<Duration>) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let deadline = Deadline::after(timeout);
        log.refused.forget();
        loop {
            self.name_owed();
            let (owes, written) = (self.owes(), self.written());
            self.wait_durable(self.last_named(), &deadline)?;
            if !owes {
                return Ok(());
            }
            // The lane has room now, unless it never had as much in it as it says.
            if self.written() == written && !self.has_log_room(written) {
                return Err(self.damaged("it has more to write down than was named"));
            }
        }
    }
}
