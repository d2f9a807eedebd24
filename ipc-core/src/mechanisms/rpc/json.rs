//! JSON-RPC 2.0 on streams of bytes, in place of frames.
//!
//! It is made into the frames of calls and out of them at the edge of a channel: a service has calls of its clients, a
//! client has results, and neither knows. A service recognizes it by the first byte of a connection. What JSON-RPC has
//! no word for is left out: progress, cancelling (a client's calls are cancelled when it ends, its notifications are done),
//! the time a caller has, streams to a service. Items that a service streams are one array, its call's result.

mod client;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod message;
mod server;
mod status;
mod text;
mod value;

use super::frame::{Frame, Header};
use crate::error::{Error, Result};
use crate::mechanisms::channel::protocol::{Decode, Protocol};
use crate::mechanisms::channel::{Address, Outgoing};
use client::Client;
use server::Server;
use std::collections::VecDeque;
use std::sync::Arc;
use text::{Framing, Texts};

/// Frames that were made of a text.
type Frames = VecDeque<Vec<u8>>;

/// One end.
trait Side: Send + Sync {
    /// Makes frames of a text.
    fn take(&self, text: &[u8], frames: &mut Frames) -> Result<()>;

    /// No more texts can be made out; says so to the other end, where that is an answer.
    fn lost(&self, _why: &Error, _frames: &mut Frames) {}

    /// A frame that comes of what was sent.
    fn news(&self) -> Option<Vec<u8>> {
        None
    }

    /// Whether there is one.
    fn has_news(&self) -> bool {
        false
    }

    /// Makes a text of a frame; an empty one: nothing is sent.
    fn encode(&self, frame: &Frame<'_>) -> Result<String>;
}

/// JSON-RPC as a stream speaks it.
struct JsonRpc {
    framing: Framing,
    limit: usize,
    side: Arc<dyn Side>,
}

/// What a client speaks whose stream begins so, if it is JSON-RPC.
pub fn recognize(begins: &[u8], limit: usize) -> Option<Arc<dyn Protocol>> {
    let framing = Framing::recognize(*begins.first()?)?;
    Some(Arc::new(JsonRpc { framing, limit, side: Arc::new(Server::new(limit)) }))
}

/// What an address asks to speak with a service: `protocol=json-rpc`, or frames.
pub fn of(address: &Address, limit: usize) -> Result<Option<Arc<dyn Protocol>>> {
    if address.setting("protocol").is_none() {
        return Ok(None);
    }
    let framing = match address.word("framing", &["lines", "content-length"])? {
        "lines" => Framing::Lines,
        _ => Framing::ContentLength,
    };
    Ok(Some(Arc::new(JsonRpc { framing, limit, side: Arc::new(Client) })))
}

impl Protocol for JsonRpc {
    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder {
            texts: Texts::new(self.framing, self.limit),
            side: self.side.clone(),
            frames: Frames::new(),
            frame: Vec::new(),
            lost: false,
        })
    }

    fn encode(&self, message: Outgoing<'_>) -> Result<Vec<u8>> {
        let bytes = message.pieces.concat();
        let text = self.side.encode(&Frame::decode(&bytes)?)?;
        Ok(if text.is_empty() { Vec::new() } else { self.framing.encode(text.into_bytes()) })
    }
}

/// Makes frames of bytes, however they come.
struct Decoder {
    texts: Texts,
    side: Arc<dyn Side>,
    /// What was made of the last text.
    frames: Frames,
    /// The one that is ready.
    frame: Vec<u8>,
    lost: bool,
}

impl Decode for Decoder {
    fn room(&mut self) -> (&mut Vec<u8>, usize) {
        self.texts.room()
    }

    fn next(&mut self) -> Result<bool> {
        loop {
            if let Some(frame) = self.side.news().or_else(|| self.frames.pop_front()) {
                self.frame = frame;
                return Ok(true);
            }
            match self.texts.next() {
                Ok(true) => self.side.take(self.texts.text(), &mut self.frames)?,
                Ok(false) => return Ok(false),
                Err(e) if self.lost => return Err(e),
                Err(e) => {
                    self.lost = true;
                    self.side.lost(&e, &mut self.frames);
                }
            }
        }
    }

    fn message(&self) -> &[u8] {
        &self.frame
    }

    fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.frame)
    }

    fn release(&mut self) {
        self.frame = Vec::new();
    }

    fn has_more(&self) -> bool {
        !self.frames.is_empty() || self.side.has_news() || self.texts.has_more()
    }

    fn is_amid(&self) -> bool {
        self.texts.is_amid()
    }

    fn end(&mut self) -> bool {
        self.texts.end()
    }
}

/// Appends a frame.
fn push(frames: &mut Frames, header: Header, name: &str, data: &[u8]) {
    frames.push_back([&header.encode(), name.as_bytes(), data].concat());
}
