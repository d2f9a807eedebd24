//! Reading a journal into a queue that was just made.

use super::lock::Held;
use super::record::{Facts, from_wall};
use super::{Log, kept};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::journal::{Journal, Kind, Record};
use crate::mechanisms::queue::handle::Handle;
use crate::mechanisms::queue::pool::Stock;
use crate::mechanisms::queue::shape::LATER;
use crate::mechanisms::queue::steps::{State, Word};
use crate::mechanisms::queue::store::{Life, PRIORITIES, Store};
use crate::mechanisms::queue::{body, dedup};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{Deadline, coarse_millis, monotonic_nanos};
use crate::sys::disk::{self, Claim};
use crate::sys::fork::LockFd;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tracing::info;

/// Milliseconds until a queue of the same name elsewhere is called in the way.
const ATTEMPTS: u32 = 1000;
/// Milliseconds in which a claim goes that nobody has any more: a child of whoever left has it until it runs its program.
const LEAVING: u32 = 200;

/// Shares the claim on a journal for this queue in memory. Another one of the same name, in another runtime directory,
/// must not use it at the same time, nor go on after this one has.
pub fn claim(path: &Path, store: &Store) -> Result<LockFd> {
    let head = store.journal();
    let token = head.token.load(Ordering::Relaxed);
    let access = store.object.domain.inner().access();
    for attempt in 0..ATTEMPTS {
        let fresh = head.loaded.load(Ordering::Acquire) == 0;
        if fresh {
            // Again each time: somebody may be removing it.
            disk::ensure(path, access)?;
        }
        match disk::claim(path, *access, token, fresh)? {
            Claim::Shared(fd) => return LockFd::new(fd),
            Claim::Others | Claim::Missing if !fresh && head.place.load(Ordering::Relaxed) != place(path) => {
                return Err(elsewhere(path, store));
            }
            Claim::Missing if !fresh => return Err(removed(path, store)),
            Claim::Others if attempt >= LEAVING => break,
            Claim::Others | Claim::Busy | Claim::Missing => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    let text = format!(
        "queue '{}': its journal in {} belongs to a queue of the same name in another runtime directory; close that one, use another domain's name, or set AXONIC_DATA_DIR to another directory",
        store.object.name,
        path.display()
    );
    Err(Error::new(ErrorKind::Busy, text))
}

/// A number for where a journal is.
fn place(path: &Path) -> u64 {
    dedup::key(&path.to_string_lossy()) as u64
}

fn elsewhere(path: &Path, store: &Store) -> Error {
    let text = format!(
        "queue '{}': its journal is not in {} but in another data directory; set AXONIC_DATA_DIR to the one that those have with whom it was made",
        store.object.name,
        path.display()
    );
    Error::new(ErrorKind::InvalidArgument, text)
}

fn removed(path: &Path, store: &Store) -> Error {
    let text = format!(
        "queue '{}': its journal in {} was removed while the queue was in use, so what is in it is in memory only; let those who have it open take it out and close it, and begin anew with `axonic unlink queue`",
        store.object.name,
        path.display()
    );
    Error::new(ErrorKind::NotFound, text)
}

/// A message as the journal has it.
struct Message {
    facts: Facts,
    payload: Vec<u8>,
    segment: u64,
}

/// Reads the journal into the queue, unless that was done. The caller has the row `row`.
pub fn load(handle: &Handle, log: &Log, row: u32) -> Result<()> {
    let head = handle.store.journal();
    let is_loaded = || head.loaded.load(Ordering::Acquire) != 0;
    if is_loaded() {
        return Ok(());
    }
    let forever = Deadline::after(None);
    let taken = handle.in_turn(Some(&forever), || Ok(Held::take(handle)))?;
    let Some(mut held) = taken else { return Ok(()) };
    if is_loaded() {
        return Ok(());
    }
    let mut messages = BTreeMap::new();
    let mut visit = |record: Record<'_>| read(&mut messages, record);
    let (disk, kept) = (log.disk(handle.domain())?, kept::of(&handle.store));
    let of_queue = |e: Error| e.of("queue", handle.name());
    let recovered = Journal::recover(disk, kept, &mut visit).map_err(of_queue)?;
    clear(handle);
    // Whoever died on the way has left parts nobody would find, and all there are may be needed.
    handle.recover();
    // Where they have no room nothing is changed on the disk, and what is kept there stays.
    let begun = fill(handle, row, &messages).and_then(|()| recovered.begin().map_err(of_queue));
    if begun.is_err() {
        clear(handle);
    }
    let (journal, state, recovery) = begun?;
    if recovery.records > 0 {
        info!("queue '{}': {} messages read from its journal", handle.name(), messages.len());
    }
    head.place.store(place(&log.path), Ordering::Relaxed);
    head.publish(&state, head.log.tail.load(Ordering::Relaxed));
    head.boot.store(state.highest(), Ordering::Relaxed);
    head.synced.store(coarse_millis(), Ordering::Relaxed);
    head.loaded.store(1, Ordering::Release);
    *log.journal.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(journal);
    // Whoever died with the lock was to load it.
    held.after_death = false;
    Ok(())
}

fn read(messages: &mut BTreeMap<u64, Message>, record: Record<'_>) -> Result<()> {
    match record.kind {
        Kind::Put => {
            let (facts, payload) = Facts::decode(record.body)?;
            if payload.len() != facts.shape.bytes() {
                let text =
                    format!("record {} of its journal has another length than its message", record.lsn);
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            messages.insert(record.id, Message { facts, payload: payload.to_vec(), segment: record.segment });
        }
        Kind::Note => {
            let (facts, _) = Facts::decode(record.body)?;
            if let Some(message) = messages.get_mut(&record.id) {
                message.facts = Facts { shape: message.facts.shape, ..facts };
            }
        }
        Kind::Gone => drop(messages.remove(&record.id)),
    }
    Ok(())
}

/// Empties a queue that nobody uses yet: whoever was filling it died.
fn clear(handle: &Handle) {
    let slots = handle.store.slots();
    for number in 0..slots.grown() {
        let word = Word::of(&slots.slot(number).word);
        if !word.is(State::Free) {
            handle.free_now(number, word);
        }
    }
    for priority in 0..PRIORITIES {
        let lane = &handle.store.head().lanes[priority];
        lane.head.store(lane.tail.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn fill(handle: &Handle, row: u32, messages: &BTreeMap<u64, Message>) -> Result<()> {
    let (mut slots, mut parts) = (Stock::default(), Stock::default());
    for (id, message) in messages {
        let store = &handle.store;
        let taken = store.slots().take(&mut slots, State::Writing, row, true)?;
        let Some((number, word)) = taken else {
            return Err(too_small(handle, messages.len(), "capacity"));
        };
        let (data, meta) = message.payload.split_at(message.facts.shape.length());
        if !body::write(store, &mut parts, row, (number, word.generation()), data, meta, true)? {
            return Err(too_small(handle, messages.len(), "max_bytes"));
        }
        put(handle, number, word, *id, message)?;
    }
    handle.store.slots().give_stock(&mut slots);
    handle.store.parts().give_stock(&mut parts);
    Ok(())
}

fn too_small(handle: &Handle, messages: usize, setting: &str) -> Error {
    let text = format!(
        "queue '{}': its journal holds {messages} messages, more than it has room for; open it with a larger {setting}",
        handle.name()
    );
    Error::new(ErrorKind::LimitReached, text)
}

/// Makes a message that was filled in what it was.
fn put(handle: &Handle, number: u32, word: Word, id: u64, message: &Message) -> Result<()> {
    let (store, facts, relaxed) = (&handle.store, &message.facts, Ordering::Relaxed);
    let (slot, priority) = (store.slot(number), usize::from(facts.shape.priority()));
    // Dead letters and messages for later keep their place in line, too.
    let beside = if (facts.reason, facts.due) == (0, 0) { 0 } else { LATER };
    slot.shape.store(facts.shape.0 | beside, relaxed);
    slot.life.store(Life::new(word.generation()).after(facts.attempts).0, relaxed);
    slot.since.store(coarse_millis(), relaxed);
    slot.expires.store(from_wall(facts.expires), relaxed);
    slot.id.store(id, relaxed);
    slot.segment.store(message.segment, relaxed);
    slot.position.store(store.head().lanes[priority].tail.load(relaxed), relaxed);
    slot.put_at.store(monotonic_nanos(), relaxed);
    let state = match (facts.reason, facts.due) {
        (0, 0) => State::Ready,
        (0, due) => {
            slot.due.store(from_wall(due), relaxed);
            State::Delayed
        }
        (reason, _) => {
            slot.reason.store(u64::from(reason), relaxed);
            handle.write_reason(number, word, &String::from_utf8_lossy(&facts.text)).leave(slot);
            State::Dead
        }
    };
    let next = word.then(state, handle.row);
    slot.word.store(next.0, Ordering::Release);
    match state {
        State::Ready => {
            let lane = store.used_lane(priority)?;
            lane.fill(&store.head().lanes[priority].tail, number, next.generation());
        }
        State::Delayed => handle.name_aside(number, next),
        _ => {}
    }
    Ok(())
}
