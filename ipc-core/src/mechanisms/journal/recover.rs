//! Reading a journal after a reboot.
//!
//! Everything is read and judged first, and its user says whether it can do with it. Then the disk is changed: a new
//! segment says where the log ends, and what is not part of it is removed. A power cut on the way changes nothing, since
//! reading gives the same again.

use super::chain::{self, Chain, Found};
use super::format::{Aftermath, Batch, BatchHeader, HEADER, MAX_NUMBER, Name, Record, visit_records};
use super::{Journal, Kept, State};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk::Disk;
use tracing::warn;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records.
    pub records: u64,
    /// The LSN of the newest one; zero if there was none.
    pub last: u64,
    /// What was cut off at the end.
    pub torn: Option<Torn>,
}

/// An end that was not whole: a power cut came before it was synced, or it was damaged, which looks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment, and where in it the log now ends.
    pub file: String,
    pub offset: u64,
    /// Bytes that were cut off, up to the last one that is not zero.
    pub bytes: u64,
    /// How many records the broken batch had, if that can still be read.
    pub records: Option<u32>,
    /// Records behind it that were whole.
    pub following: u64,
}

/// A journal that was read, of which nothing was changed yet.
pub struct Recovered {
    journal: Journal,
    found: Vec<Found>,
    log: Log,
    torn: Option<Torn>,
}

/// What could be read of a chain.
#[derive(Default)]
struct Log {
    /// Each segment, where it ends, and the LSN of its last record.
    segments: Vec<(Name, u64, u64)>,
    records: u64,
    last: u64,
    /// Up to which LSN it calls records durable itself.
    durable: u64,
    bytes: u64,
    /// What follows the place where reading stopped, in that segment.
    rest: Aftermath,
    /// How many records the batch there has.
    broken: Option<u32>,
    /// It stopped before the end of the chain.
    cut_short: bool,
}

/// Whether the log ends in a segment that can be the newest one: not in one of a chain that only a later one completes.
fn may_go_on(found: &[Found], state: &State) -> bool {
    let last = found.iter().find(|found| found.name.number == state.segment);
    last.and_then(|last| last.header).is_some_and(|header| !header.provisional)
}

impl Journal {
    /// Reads a journal nobody uses, and gives each record to `visit` in the order of the LSNs; nothing is changed before
    /// [`Recovered::begin`]. `Corrupt` if something is missing that had been on the disk; what was visited is not the
    /// whole then.
    pub fn recover(
        disk: Box<dyn Disk>,
        kept: Kept,
        visit: &mut dyn FnMut(Record<'_>) -> Result<()>,
    ) -> Result<Recovered> {
        Journal::new(disk, kept).recovered(visit)
    }

    /// What is cut off at the end of a journal that is read, or the error that it ends with. Nothing is changed.
    pub fn examine(disk: Box<dyn Disk>) -> Result<Option<Torn>> {
        Journal::recover(disk, Kept::default(), &mut |_| Ok(())).map(|recovered| recovered.torn)
    }

    pub(super) fn recovered(mut self, visit: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<Recovered> {
        let found = chain::find(&mut *self.disk)?;
        let chain = chain::select(&mut *self.disk, &found)?;
        let log = chain.as_ref().map_or(Ok(Log::default()), |chain| self.read(chain, visit))?;
        let torn = self.judge(&found, chain.as_ref(), &log)?;
        if next_number(&found).max(log.last + 1) >= MAX_NUMBER {
            return Err(self.used_up());
        }
        Ok(Recovered { journal: self, found, log, torn })
    }

    fn read(&mut self, chain: &Chain, visit: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<Log> {
        let mut log = Log { last: chain.oldest().first - 1, ..Log::default() };
        for (i, header) in chain.segments.iter().enumerate() {
            let name = header.name;
            let next = chain.segments.get(i + 1).and_then(|next| Some((next.previous?.end, next.first)));
            let read = if next.is_some() { Some(chain::content(&mut *self.disk, name)?) } else { None };
            let content = read.as_ref().unwrap_or(&chain.head);
            let limit = next.map_or(content.len(), |(end, _)| content.len().min(end as usize));
            log.durable = log.durable.max(header.durable);
            let end = chain::walk(content, name, HEADER, limit, &mut log.last, &mut |batch, records| {
                log.durable = log.durable.max(batch.durable);
                log.records += u64::from(batch.count);
                visit_records(records, batch.first, name.number, visit)
            })?;
            log.segments.push((name, end as u64, log.last));
            log.bytes += content.len() as u64;
            log.cut_short = next.is_some_and(|next| next != (end as u64, log.last + 1));
            if log.cut_short || next.is_none() {
                log.rest = Aftermath::read(name, content, end);
                log.broken = BatchHeader::find(name, content, end).map(|header| header.count);
                break;
            }
        }
        Ok(log)
    }

    /// Whether what does not belong to the log is an end that was never synced, or shows that the log is damaged.
    fn judge(&mut self, found: &[Found], chain: Option<&Chain>, log: &Log) -> Result<Option<Torn>> {
        let end = log.segments.last().map(|(name, end, _)| (*name, *end));
        let mut place = end.filter(|_| log.cut_short || log.rest.bytes > 0);
        let (mut all, mut bytes) = (log.rest, log.rest.bytes);
        for later in found.iter().filter(|later| end.is_none_or(|(name, _)| later.name > name)) {
            let more = self.aftermath(later)?;
            all = all.and(more);
            // A chain that was not finished is no end of this one.
            if later.header.is_none_or(|header| !header.provisional) && more.bytes > 0 {
                bytes += more.bytes;
                place = place.or(Some((later.name, 0)));
            }
        }
        // The first segment is durable before anything follows it, and segments are removed once something durable
        // says so: there is no way to lack one at the beginning.
        let lacking = match chain {
            Some(chain) => log.cut_short && chain.was_shortened(),
            None => found.iter().any(|found| found.header.is_some()),
        };
        if all.durable > log.last || all.overtaken || lacking {
            let place = place.or(found.last().map(|last| (last.name, 0)));
            return Err(self.damaged(place, all.records));
        }
        Ok(place.map(|(name, offset)| Torn {
            file: name.to_string(),
            offset,
            bytes,
            records: log.broken,
            following: all.records,
        }))
    }

    /// What a segment behind the end of the log tells.
    fn aftermath(&mut self, found: &Found) -> Result<Aftermath> {
        let content = chain::content(&mut *self.disk, found.name)?;
        let Some(header) = found.header else { return Ok(Aftermath::read(found.name, &content, 0)) };
        let read = Aftermath::read(found.name, &content, HEADER);
        // Its header is there: nothing in it was overtaken.
        Ok(Aftermath { durable: read.durable.max(header.durable), overtaken: false, ..read })
    }

    fn damaged(&self, place: Option<(Name, u64)>, following: u64) -> Error {
        let (file, offset) = place.map_or((String::new(), 0), |(name, at)| (name.to_string(), at));
        let text = format!(
            "journal {0}/{file}: damaged at offset {offset}, where it had been whole on the disk; {following} valid records follow, so nothing was changed; restore the directory from a copy, or move it away to begin with nothing (AXONIC_DATA_DIR says where it is)",
            self.disk.place(),
        );
        Error::new(ErrorKind::Corrupt, text)
    }

    fn tell(&self, torn: &Torn) {
        let records = torn.records.map_or("some".to_owned(), |count| count.to_string());
        warn!(
            "journal {}/{}: cut off at offset {}: {} bytes were not whole, a batch of {records} records and {} behind it, as after a power cut",
            self.disk.place(),
            torn.file,
            torn.offset,
            torn.bytes,
            torn.following,
        );
    }

    /// Makes all that was read durable (it may be in the page cache only, if there was no reboot), then begins the
    /// segment that says where it ends, and removes all others once that is on the disk.
    fn begin_anew(&mut self, found: &[Found], log: &Log) -> Result<State> {
        let mut state = State::before(next_number(found), log.last, log.durable);
        if let Some((name, end, _)) = log.segments.last() {
            state.enter(*name, log.segments[0].0.number, *end, log.bytes);
            self.sync_again(&mut state, log)?;
        }
        let counts = |name: Name| log.segments.iter().any(|(other, _, _)| *other == name);
        let others: Vec<_> = found.iter().map(|found| found.name).filter(|name| !counts(*name)).collect();
        match self.rotate(&mut state, 0) {
            Err(e) if e.kind() == ErrorKind::NoSpace && !state.poisoned && may_go_on(found, &state) => {
                self.go_on(&mut state, &others)?;
            }
            begun => {
                begun?;
                self.sync(&mut state)?;
                others.into_iter().try_for_each(|name| self.disk.remove(&name.to_string()))?;
            }
        }
        Ok(state)
    }

    /// Goes on in the last segment of the log, since a full disk has no room for another: lest the queue could not even be
    /// emptied. A file without a byte takes a number, so that the next recovery has a higher one. Then what does not count
    /// goes, the newest first and each for certain before the next: what is left is read as the same log.
    fn go_on(&mut self, state: &mut State, others: &[Name]) -> Result<()> {
        let mark = Name { number: state.next, salt: self.disk.salt() };
        state.next += 1;
        self.disk.create(&mark.to_string(), 0)?;
        self.disk.sync_directory()?;
        for name in others.iter().rev() {
            self.disk.remove(&name.to_string())?;
            self.disk.sync_directory()?;
        }
        let name = state.name();
        state.size = self.disk.open(&name.to_string())?;
        // Zeros that are read may be in the page cache only, as may be what was read.
        self.clear(name, state.end..state.size)?;
        self.disk.sync(&name.to_string())?;
        if state.end == HEADER as u64 {
            let oldest = state.oldest;
            self.put(state, &mut Batch::new(state.last + 1), oldest, 0)?;
        }
        self.sync(state)
    }

    /// Syncs the segments that have records of which nothing says that they are durable.
    fn sync_again(&mut self, state: &mut State, log: &Log) -> Result<()> {
        let known = log.segments.iter().take_while(|(_, _, last)| *last <= log.durable).count();
        let unsynced = &log.segments[known.min(log.segments.len() - 1)..];
        for (name, end, _) in unsynced {
            self.rewrite(*name, 0..*end)?;
        }
        state.unsynced_segment = unsynced[0].0.number;
        self.sync(state)
    }
}

impl Recovered {
    /// Goes on with it in a new segment. Everything that was read is on the disk afterwards.
    pub fn begin(mut self) -> Result<(Journal, State, Recovery)> {
        if let Some(torn) = &self.torn {
            self.journal.tell(torn);
        }
        let state = self.journal.begin_anew(&self.found, &self.log)?;
        let recovery = Recovery { records: self.log.records, last: self.log.last, torn: self.torn };
        Ok((self.journal, state, recovery))
    }
}

/// The number of the segment to begin.
fn next_number(found: &[Found]) -> u64 {
    found.last().map_or(1, |last| last.name.number + 1)
}
