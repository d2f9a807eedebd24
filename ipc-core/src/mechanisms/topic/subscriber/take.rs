//! Taking one record out of a ring, and its payload out of the slab.

use super::Subscriber;
use super::follow::Source;
use super::{MAX_BODY, Take, Taken};
use crate::domain::Directory;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{FLAG_SLAB, Found, GRAIN, Next};
use crate::mechanisms::topic::cursor::{NOWHERE, pin_word};
use crate::mechanisms::topic::message::Pinned;
use crate::mechanisms::topic::segment::{DESCRIPTOR, Descriptor};
use crate::mechanisms::topic::steps::has_slot;
use crate::sys::atomic::Ordering;
use crate::sys::file;
use crate::value::Content;
use std::sync::Arc;

fn corrupt(source: &Source, why: &str) -> Error {
    let topic = source.topic();
    let text = format!("topic '{topic}': {why}; its publisher's memory was damaged, restart it");
    Error::new(ErrorKind::Corrupt, text)
}

impl Subscriber {
    /// Takes the next record of one ring, if there is one.
    #[inline(always)]
    pub(super) fn take_from(&mut self, index: usize, take: Take) -> Result<bool> {
        loop {
            let source = &mut self.sources[index];
            let found = match source.reader.peek() {
                Ok(Next::Record(found)) => found,
                Ok(Next::Empty) => return Ok(false),
                Ok(Next::Lapped) => {
                    self.resynchronise(index)?;
                    continue;
                }
                Err(e) => return Err(self.abandon(index, e)),
            };
            let body = found.shape.body_bytes();
            if body > MAX_BODY {
                if source.reader.racy() && source.reader.is_lapped() {
                    self.resynchronise(index)?;
                    continue;
                }
                let e = Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "topic '{}': a record of {body} bytes is more than can be; its publisher's memory was damaged, restart it",
                        source.topic()
                    ),
                );
                return Err(self.abandon(index, e));
            }
            let room = self.record.start();
            // SAFETY: the record holds `body` bytes (checked by `peek`), the room is larger.
            if !unsafe { source.reader.copy(body, room) } {
                self.resynchronise(index)?;
                continue;
            }
            let arrived = if found.shape.flags() & FLAG_SLAB == 0 {
                self.taken = Taken::Record(found.shape.body());
                true
            } else {
                match self.take_slab(index, &found, take) {
                    Err(e) if e.kind() == ErrorKind::NotFound && self.was_taken_away(index) => {
                        drop(self.abandon(index, e));
                        return Ok(false);
                    }
                    Err(e) if e.is_damage() || e.kind() == ErrorKind::NotFound => {
                        return Err(self.abandon(index, e));
                    }
                    other => other?,
                }
            };
            self.advance(index, &found, arrived);
            if arrived {
                self.admit(index, &found)?;
                return Ok(true);
            }
        }
    }

    /// A large payload: pinned, then copied or kept. `false`: its slot was reused meanwhile.
    pub(super) fn take_slab(&mut self, index: usize, found: &Found, take: Take) -> Result<bool> {
        let descriptor = self.descriptor(found);
        let source = &mut self.sources[index];
        let Some(descriptor) = descriptor else { return Err(corrupt(source, "a descriptor is too short")) };
        let Some(theirs) = source.segment(&self.domain, descriptor.segment)? else { return Ok(false) };
        let (segment, slot, length) = (&theirs.segment, descriptor.slot, descriptor.length as usize);
        if slot as usize >= segment.slots || length > segment.slot_size {
            return Err(corrupt(source, "a descriptor points outside its segment"));
        }
        let word = pin_word(source.cursor, descriptor.segment, slot);
        let place = self.shared.pin(word, take == Take::Copy)?;
        if !has_slot(segment.withdrawn(), found.seq) {
            self.shared.unpin(place);
            return if source.reader.racy() {
                Ok(false)
            } else {
                Err(corrupt(source, "a record lost its slot before it was read"))
            };
        }
        let pinned = Pinned { theirs, slot, place, length };
        if take == Take::Borrow {
            self.pinned = Some(pinned);
            self.taken = Taken::Pinned(length);
            return Ok(true);
        }
        let room = self.bulk.room(length);
        // SAFETY: the room has `length` bytes, the slot too; the pin keeps it still.
        unsafe { std::ptr::copy_nonoverlapping(pinned.data().as_ptr(), room, length) };
        self.taken = Taken::Bulk(length);
        Ok(true)
    }

    /// Whether a ring has lost its name though nobody unlinked it: it was finished and nobody was owed anything of it
    /// when we came and began to read. A retained one only goes when it is unlinked, which is told.
    fn was_taken_away(&self, index: usize) -> bool {
        let source = &self.sources[index];
        let publishers = self.domain.inner().directory(Directory::Publishers);
        source.reader.map.head().retain.load(Ordering::Relaxed) == 0
            && !file::exists(&publishers.join(source.id.to_string()))
    }

    /// Moves one that begins at the oldest record to the first that still has its payload, by now: what was gone before
    /// it came was not missed. What bears a number from `written` on is younger than its coming and counts.
    pub(super) fn skip_gone(&mut self, source: &mut Source, written: u64) -> Result<()> {
        // A ring holds no more records, whatever its memory says and however fast its publisher is.
        for _ in 0..source.reader.map.capacity() / GRAIN as u64 {
            let next = source.reader.peek()?;
            let gone = match &next {
                Next::Record(found) => found.seq < written && self.is_gone(source, found)?,
                _ => false,
            };
            if source.reader.is_lapped() {
                source.reader.resynchronise()?;
                continue;
            }
            let Next::Record(found) = next else {
                source.reader.expect_from(written);
                break;
            };
            source.reader.expect_from(found.seq.min(written));
            if !gone {
                break;
            }
            source.reader.advance(&found);
        }
        let position = source.reader.position();
        self.shared.head().cursors[source.cursor].position.store(position, Ordering::Release);
        Ok(())
    }

    /// Where the payload of the record just copied is, if that is long enough to say it.
    fn descriptor(&self, found: &Found) -> Option<Descriptor> {
        if found.shape.body() < DESCRIPTOR {
            return None;
        }
        // SAFETY: the body, at least this long, was just copied there.
        let bytes = unsafe { self.record.bytes(0, DESCRIPTOR) };
        bytes.try_into().ok().map(Descriptor::decode)
    }

    /// Whether a record, if it was not overwritten meanwhile, has lost its slot, which it never gets back (H1).
    fn is_gone(&mut self, source: &mut Source, found: &Found) -> Result<bool> {
        if found.shape.flags() & FLAG_SLAB == 0 || found.shape.body() < DESCRIPTOR {
            return Ok(false);
        }
        let room = self.record.start();
        // SAFETY: the record holds a descriptor (`peek` checked that its body fits the ring), the room is larger.
        if !unsafe { source.reader.copy(DESCRIPTOR, room) } {
            return Ok(false);
        }
        let Some(descriptor) = self.descriptor(found) else { return Ok(false) };
        let segment = source.segment(&self.domain, descriptor.segment)?;
        Ok(segment.is_none_or(|theirs| !has_slot(theirs.segment.withdrawn(), found.seq)))
    }

    /// Moves past a record and lets the publisher know.
    #[inline(always)]
    pub(super) fn advance(&mut self, index: usize, found: &Found, arrived: bool) {
        let source = &mut self.sources[index];
        source.lost =
            source.lost.saturating_add(source.reader.advance(found)).saturating_add(u64::from(!arrived));
        let position = source.reader.position();
        self.shared.head().cursors[source.cursor].position.store(position, Ordering::Release);
        if !source.reader.racy() {
            source.tell_publisher(self.light);
        }
    }

    /// Fills the envelope of the message just taken and counts it.
    #[inline(always)]
    pub(super) fn admit(&mut self, index: usize, found: &Found) -> Result<()> {
        let source = &mut self.sources[index];
        let shape = found.shape;
        let (Taken::Record(length) | Taken::Bulk(length) | Taken::Pinned(length)) = self.taken;
        let missed = source.lost;
        let envelope = &mut self.envelope;
        if !Arc::ptr_eq(&self.topic, &source.origin.topic) {
            self.topic = source.origin.topic.clone();
        }
        envelope.content = Content::from_number(shape.content()).unwrap_or_default();
        envelope.flags = shape.flags();
        envelope.sequence = found.seq;
        envelope.missed = missed;
        envelope.publisher = source.id;
        self.received += 1;
        self.bytes += length as u64;
        let head = self.shared.head();
        head.received.store(self.received, Ordering::Relaxed);
        head.bytes.store(self.bytes, Ordering::Relaxed);
        if shape.meta() != 0 || envelope.tensor.is_some() || !envelope.meta.is_empty() {
            // SAFETY: the whole body was copied, the metadata is its end.
            envelope.meta = unsafe { self.record.bytes(shape.meta_offset(), shape.meta()) }.into();
            envelope.tensor = None;
            if let Err(e) = envelope.decode(length) {
                self.pinned = None;
                return Err(e.of("topic", &self.topic));
            }
        }
        if self.options.schema.is_some() {
            self.check_schema()?;
        }
        if missed != 0 {
            // Told now. A message that was passed over leaves it to the next.
            self.sources[index].lost = 0;
            self.note_missed(missed);
        }
        Ok(())
    }

    /// A message that does not satisfy the schema is passed over; the next one tells what was missed before it.
    #[cold]
    fn check_schema(&mut self) -> Result<()> {
        let message = self.message();
        let checked = self.options.schema.as_ref().map(|s| s.check(message.content(), message.data()));
        let Some(Err(e)) = checked else { return Ok(()) };
        let text = format!(
            "message {} of topic '{}' was passed over: {e}; publish it with the same schema",
            message.sequence(),
            message.topic()
        );
        self.pinned = None;
        Err(Error::new(ErrorKind::Decode, text))
    }

    /// The reader was overtaken and goes on with what is left.
    #[cold]
    pub(super) fn resynchronise(&mut self, index: usize) -> Result<()> {
        self.sources[index].reader.resynchronise().map_err(|e| self.abandon(index, e))
    }

    /// A ring that cannot be believed any more is let go.
    #[cold]
    pub(super) fn abandon(&mut self, index: usize, error: Error) -> Error {
        let source = self.sources.swap_remove(index);
        self.passed_over.insert(source.id);
        self.note_missed(source.lost);
        self.shared.head().cursors[source.cursor].position.store(NOWHERE, Ordering::Release);
        self.abandoned.push((source.id, source.cursor));
        error.of("topic", source.topic())
    }
}
