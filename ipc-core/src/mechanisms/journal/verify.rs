//! Going on where another process died.
//!
//! What it wrote is all there, since the page cache outlives a process; only its last steps may be missing, or may be
//! newer than the state it left. So the chain is found as after a reboot, and what is half done is repaired.

use super::chain::{self, Chain, Found};
use super::format::{Batch, HEADER};
use super::{Journal, State};
use crate::error::{Error, ErrorKind, Result};

impl Journal {
    /// Finds out how far the previous holder of the lock came before it died, repairs what it left half done, and
    /// tells the LSN of the last record that is in the journal.
    pub fn verify(&mut self, state: &mut State) -> Result<u64> {
        let found = chain::find(&mut *self.disk)?;
        let chain = chain::select(&mut *self.disk, &found)?.ok_or_else(|| self.lost(state))?;
        // Nothing is appended to a poisoned journal, so nothing can be half done but a new chain.
        if state.poisoned && chain.has(state.segment) {
            return Ok(state.last);
        }
        let mut now = self.true_state(state, &found, &chain)?;
        self.clear_tail(&now, &chain.head)?;
        if now.end == HEADER as u64 {
            let (mut mark, oldest) = (Batch::new(now.last + 1), now.oldest);
            self.put(&mut now, &mut mark, oldest, 0)?;
        }
        self.rewrite_unsynced(&now, &chain)?;
        *state = now;
        self.remove_leftovers(state, &found, &chain)?;
        Ok(state.last)
    }

    /// The state the dead process would have left.
    fn true_state(&mut self, state: &State, found: &[Found], chain: &Chain) -> Result<State> {
        let (oldest, newest) = (chain.oldest(), chain.newest());
        let mut last = newest.first - 1;
        let (head, name) = (&chain.head, newest.name);
        let end = chain::walk(head, name, HEADER, head.len(), &mut last, &mut |_, _| Ok(()))?;
        if last < state.last {
            return Err(self.lost(state));
        }
        let mut bytes = 0;
        for header in &chain.segments {
            bytes += self.disk.open(&header.name.to_string())?;
        }
        let kept = chain.has(state.unsynced_segment);
        let after = found.last().map_or(0, |found| found.name.number + 1);
        Ok(State {
            segment: name.number,
            salt: name.salt,
            end: end as u64,
            size: head.len() as u64,
            oldest: oldest.name.number,
            next: state.next.max(after),
            last,
            durable: state.durable,
            unsynced_segment: if kept { state.unsynced_segment } else { oldest.name.number },
            unsynced_from: if kept { state.unsynced_from } else { 0 },
            bytes,
            poisoned: false,
            // Whether it synced the directory nobody knows.
            unsynced_directory: true,
            provisional: false,
        })
    }

    fn lost(&self, state: &State) -> Error {
        let text = format!(
            "journal {}: its segments end before LSN {}, which has been appended; stop all participants, and let all of them use the same data directory (AXONIC_DATA_DIR)",
            self.disk.place(),
            state.last
        );
        Error::new(ErrorKind::Corrupt, text)
    }

    /// Puts zeros where a batch was half written.
    fn clear_tail(&mut self, state: &State, head: &[u8]) -> Result<()> {
        let tail = &head[state.end as usize..];
        let Some(used) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        self.disk.write_at(&state.name().to_string(), state.end, &vec![0; used + 1])
    }

    fn rewrite_unsynced(&mut self, state: &State, chain: &Chain) -> Result<()> {
        let ends = chain.segments.iter().skip(1).map(|next| next.previous.map_or(0, |link| link.end));
        for (header, end) in chain.segments.iter().zip(ends.chain([state.end])) {
            let number = header.name.number;
            if number >= state.unsynced_segment {
                let from = if number == state.unsynced_segment { state.unsynced_from } else { 0 };
                self.rewrite(header.name, from..end)?;
            }
        }
        Ok(())
    }

    /// Removes what does not count: segments that were half made, those of a chain that was not finished, and those
    /// before the oldest, which a chain replaces only once it is on the disk. A file without a byte that is newer than the
    /// chain stays: a recovery may have made it to have a number of its own.
    fn remove_leftovers(&mut self, state: &mut State, found: &[Found], chain: &Chain) -> Result<()> {
        let mut leftover: Vec<_> =
            found.iter().map(|found| found.name).filter(|name| !chain.has(name.number)).collect();
        if let Some(last) = leftover.last().copied().filter(|last| last.number > state.segment)
            && self.disk.open(&last.to_string())? == 0
        {
            leftover.pop();
        }
        if leftover.iter().any(|name| name.number < state.oldest) {
            self.sync(state)?;
        }
        leftover.into_iter().try_for_each(|name| self.disk.remove(&name.to_string()))
    }
}
