//! Other protocols than frames on a stream: text that is made into messages, and messages that are made into text.

use super::link::Outgoing;
use crate::error::Result;
use std::sync::Arc;

/// Makes messages of the bytes of a stream, however they come.
pub(crate) trait Decode: Send {
    /// Where to read to, and how much at most. Asked for when there is no message.
    fn room(&mut self) -> (&mut Vec<u8>, usize);

    /// Has the next message ready, in place of the one before; `false`: it has not come yet.
    fn next(&mut self) -> Result<bool>;

    /// The message that is ready.
    fn message(&self) -> &[u8];

    /// The same to keep.
    fn take_message(&mut self) -> Vec<u8>;

    /// The message that is ready was read.
    fn release(&mut self);

    /// Whether there may be something more to be had from what was read already.
    fn has_more(&self) -> bool;

    /// Whether a part of a message has come, and not all of it.
    fn is_amid(&self) -> bool;

    /// Nothing more comes: whether that makes a message of what has.
    fn end(&mut self) -> bool {
        false
    }

    /// Whether descriptors were passed with the message that is ready.
    fn has_descriptors(&self) -> bool {
        false
    }
}

/// A protocol that a stream speaks instead of frames.
pub(crate) trait Protocol: Send + Sync {
    /// What reads it.
    fn decoder(&self) -> Box<dyn Decode>;

    /// The bytes that say what a message does; none where the protocol has no word for it. Called once for each message.
    fn encode(&self, message: Outgoing<'_>) -> Result<Vec<u8>>;
}

/// Finds out by its first bytes, one at least, which protocol the other end speaks, if it is not frames. The number is the
/// largest message in bytes.
pub(crate) type Recognize = fn(&[u8], usize) -> Option<Arc<dyn Protocol>>;

/// What is spoken on a stream besides frames.
pub(crate) enum Speaks {
    /// This, and no frames.
    This(Arc<dyn Protocol>),
    /// What the other end begins with.
    Whatever(Recognize),
}
