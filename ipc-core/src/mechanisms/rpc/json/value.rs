//! Payloads as JSON.

use super::super::frame::Frame;
use crate::status::{Code, Status};
use crate::value::{Content, msgpack_to_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// A payload as JSON: JSON and MessagePack as they are, no bytes as `null`, bytes in base64.
pub fn of(frame: &Frame<'_>) -> Result<String, Status> {
    match frame.header.content {
        Content::Json => checked(frame.data),
        Content::Raw if frame.data.is_empty() => Ok("null".into()),
        Content::Raw => Ok(format!("\"{}\"", STANDARD.encode(frame.data))),
        Content::MessagePack => {
            let json = msgpack_to_json(frame.data).map_err(|e| Status::new(Code::Internal, e.message()))?;
            checked(&json)
        }
        Content::Tensor => {
            let text = "a tensor, which JSON-RPC has no word for; give it as JSON or as bytes";
            Err(Status::new(Code::Internal, text))
        }
    }
}

fn checked(json: &[u8]) -> Result<String, Status> {
    let value: Result<&RawValue, _> = serde_json::from_slice(json);
    value
        .map(|value| value.get().to_owned())
        .map_err(|e| Status::new(Code::Internal, format!("no JSON, though it is said to be: {e}")))
}
