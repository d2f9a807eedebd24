//! A client's side: calls become requests, and responses their results.

use super::super::frame::{FLAG_INPUT, FLAG_STREAM, Frame, Header, Kind};
use super::message::{self, Message, Text};
use super::status;
use super::{Frames, Side, push, value};
use crate::error::{Error, ErrorKind, Result};
use crate::status::{Code, Status};
use crate::value::Content;
use serde_json::value::RawValue;
use tracing::debug;

pub struct Client;

impl Client {
    fn request(&self, frame: &Frame<'_>) -> Result<String> {
        let Header { flags, call, .. } = frame.header;
        let method = String::from_utf8_lossy(frame.name);
        let what = match flags {
            _ if flags & FLAG_INPUT != 0 => "input; send it as params",
            _ if flags & FLAG_STREAM != 0 => "results; call it without one, what it streams is an array",
            _ => "",
        };
        if !what.is_empty() {
            let text = format!("call of {method}: JSON-RPC has no streams of {what}");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(message::request(call, &method, &params(&method, frame)?))
    }

    fn hear(&self, message: Message<'_>, frames: &mut Frames) -> Result<()> {
        match message {
            Message::Response { id, outcome } => match (number(id), outcome) {
                (Some(call), Ok(result)) => {
                    let header = Header { content: Content::Json, ..Header::new(Kind::Reply, call) };
                    push(frames, header, "", result.get().as_bytes());
                }
                (Some(call), Err(error)) => {
                    let status = status::decode(error).encode();
                    push(frames, Header::new(Kind::Failure, call), "", &status);
                }
                // It is about a request of ours that it could not read, and does not say which.
                (None, Err(error)) => {
                    return Err(unreadable(&format!("it answers no call, with {}", status::decode(error))));
                }
                (None, Ok(_)) => debug!("a server of JSON-RPC answered a call that it was never sent"),
            },
            Message::Request { id: Some(id), method, .. } => {
                let status =
                    Status::new(Code::Unimplemented, format!("a client has no methods such as '{method}'"));
                let response = message::error(id.get(), &status::encode(&status));
                push(frames, Header::new(Kind::Refused, 0), "", response.as_bytes());
            }
            Message::Request { id: None, method, .. } => {
                debug!("a server of JSON-RPC sent the notification '{method}', which was dropped");
            }
            Message::Invalid { why, .. } => return Err(unreadable(&why)),
        }
        Ok(())
    }
}

/// The params of a call: an object, an array, or nothing.
fn params(method: &str, frame: &Frame<'_>) -> Result<String> {
    let refuse = |what: &str| {
        let text = format!("call of {method}: {what}; the params of JSON-RPC are a JSON object or array");
        Error::new(ErrorKind::InvalidArgument, text)
    };
    let value = match frame.header.content {
        Content::Raw if !frame.data.is_empty() => return Err(refuse("its payload is bytes")),
        Content::Json if frame.data.trim_ascii().is_empty() => return Ok(String::new()),
        _ => value::of(frame).map_err(|status| refuse(&format!("its payload is {}", status.message)))?,
    };
    match value.as_bytes().first() {
        Some(b'{' | b'[') => Ok(value),
        _ if value == "null" => Ok(String::new()),
        _ => Err(refuse("its payload is another value")),
    }
}

fn number(id: Option<&RawValue>) -> Option<u32> {
    id?.get().parse().ok()
}

fn unreadable(what: &str) -> Error {
    let text = format!("what came is no response of JSON-RPC: {what}; see what the other end speaks");
    Error::new(ErrorKind::Corrupt, text)
}

impl Side for Client {
    fn take(&self, text: &[u8], frames: &mut Frames) -> Result<()> {
        match message::read(text).map_err(|why| unreadable(&why))? {
            Text::One(message) => self.hear(message, frames),
            Text::Batch(all) => all.into_iter().try_for_each(|value| self.hear(Message::of(value), frames)),
        }
    }

    fn encode(&self, frame: &Frame<'_>) -> Result<String> {
        match frame.header.kind {
            Kind::Call => self.request(frame),
            Kind::Refused => Ok(String::from_utf8_lossy(frame.data).into_owned()),
            // That a call is given up cannot be told; its answer is dropped.
            _ => Ok(String::new()),
        }
    }
}
