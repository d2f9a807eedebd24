//! A received message as text: one line of data, or one JSON object.

use std::borrow::Cow;
use std::io::Write;

use axonic::{Attributes, Content, Delivery, Message, Peeked, Reason, Tensor, msgpack_to_json, preview};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::output::Output;
use crate::stop::Stop;

/// How much of a payload that is no text is shown.
const PREVIEW: usize = 160;

/// Writes the data and a line feed. Raw bytes pass unchanged, except to a terminal, which gets a
/// preview of what it cannot show; JSON is put on one line, MessagePack becomes JSON, and a tensor,
/// which has no text form, is previewed.
pub(crate) fn write_line(
    out: &mut Output<'_>,
    content: Content,
    tensor: Option<&Tensor>,
    data: &[u8],
) -> Result<(), Stop> {
    match line(content, data, out.is_terminal()) {
        Some(text) => out.write_all(&text)?,
        None => out.write_all(preview(content, tensor, data, PREVIEW).as_bytes())?,
    }
    out.write_all(b"\n")?;
    Ok(())
}

/// The data as a line, or nothing when it has no such form.
fn line(content: Content, data: &[u8], terminal: bool) -> Option<Cow<'_, [u8]>> {
    match content {
        Content::Tensor => None,
        Content::MessagePack => msgpack_to_json(data).ok().map(Cow::Owned),
        _ if terminal && !is_text(data) => None,
        Content::Json => Some(one_line(data)),
        Content::Raw => Some(Cow::Borrowed(data)),
    }
}

/// Text without anything a terminal would obey.
fn is_text(data: &[u8]) -> bool {
    let plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    std::str::from_utf8(data).is_ok_and(|text| text.chars().all(plain))
}

/// JSON keeps line feeds only between its tokens (inside strings they are escaped), so blanks can
/// take their place without parsing.
fn one_line(json: &[u8]) -> Cow<'_, [u8]> {
    if json.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let blank = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
        return Cow::Owned(json.iter().map(blank).collect());
    }
    Cow::Borrowed(json)
}

/// The JSON form of a message, in the order it is printed. Of `value`, `data` and `data_base64`
/// (the name CloudEvents gives it) exactly one is present.
#[derive(Default, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    content: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensor: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    /// In hexadecimal: readers in JavaScript and jq would round a number of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Pairs>,
}

#[derive(Serialize)]
struct Shape<'a> {
    dtype: &'static str,
    shape: &'a [usize],
}

impl Shape<'_> {
    fn of(tensor: &Tensor) -> Shape<'_> {
        Shape { dtype: tensor.dtype.name(), shape: &tensor.shape }
    }
}

/// Attributes as a JSON object, in their own order.
struct Pairs(Attributes);

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// Writes the message as one JSON object and a line feed.
pub(crate) fn write_json(out: &mut Output<'_>, message: &Message<'_>) -> Result<(), Stop> {
    let attributes = message.attributes()?;
    let mut record = Record {
        topic: Some(message.topic()),
        tensor: message.tensor().map(Shape::of),
        publisher: Some(format!("{:016x}", message.publisher())),
        sequence: Some(message.sequence()),
        missed: Some(message.missed()),
        attributes: (!attributes.is_empty()).then_some(Pairs(attributes)),
        ..Record::default()
    };
    set_body(&mut record, message.content(), message.data());
    write_record(out, &record)
}

/// The same of a message taken from a queue.
pub(crate) fn write_delivery(out: &mut Output<'_>, queue: &str, delivery: &Delivery) -> Result<(), Stop> {
    let (attributes, tensor) = (delivery.attributes()?, delivery.tensor()?);
    let mut record = Record {
        queue: Some(queue),
        tensor: tensor.as_ref().map(Shape::of),
        priority: Some(delivery.priority()),
        attempt: Some(delivery.attempt()),
        attributes: (!attributes.is_empty()).then_some(Pairs(attributes)),
        ..Record::default()
    };
    set_body(&mut record, delivery.content(), delivery.data());
    write_record(out, &record)
}

/// The same of a message that stays in its queue.
pub(crate) fn write_peeked(out: &mut Output<'_>, queue: &str, peeked: &Peeked) -> Result<(), Stop> {
    let mut record = Record {
        queue: Some(queue),
        priority: Some(peeked.priority()),
        attempts: Some(peeked.attempts()),
        reason: peeked.reason().map(Reason::name),
        reason_text: Some(peeked.reason_text()).filter(|text| !text.is_empty()),
        ..Record::default()
    };
    set_body(&mut record, peeked.content(), peeked.data());
    write_record(out, &record)
}

fn write_record(out: &mut Output<'_>, record: &Record<'_>) -> Result<(), Stop> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// A value when the content decodes to one, else the text, else base64. The publisher may have
/// sent nonsense under a good name: that comes out as the bytes it is.
fn set_body<'a>(record: &mut Record<'a>, content: Content, data: &'a [u8]) {
    record.content = content.name();
    record.value = match content {
        Content::Json => raw_value(&one_line(data)),
        Content::MessagePack => msgpack_to_json(data).ok().and_then(|json| raw_value(&json)),
        Content::Raw | Content::Tensor => None,
    };
    if record.value.is_some() {
        return;
    }
    match std::str::from_utf8(data) {
        Ok(text) if content != Content::Tensor => record.data = Some(text),
        _ => record.data_base64 = Some(STANDARD.encode(data)),
    }
}

/// Passes JSON through as it was written, so that no number loses digits on the way.
fn raw_value(json: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: Content, data: &[u8]) -> String {
        let mut record = Record::default();
        set_body(&mut record, content, data);
        let object = serde_json::to_value(&record).unwrap();
        let keys = ["value", "data", "data_base64"];
        let found: Vec<String> =
            keys.iter().filter_map(|key| object.get(key).map(|value| format!("{key}={value}"))).collect();
        found.join(" ")
    }

    #[test]
    fn each_message_has_exactly_one_body() {
        assert_eq!(body(Content::Json, b"{\"a\":\n1}"), "value={\"a\":1}");
        assert_eq!(body(Content::Json, b"{nonsense"), "data=\"{nonsense\"");
        assert_eq!(body(Content::Raw, "gr\u{fc}n".as_bytes()), "data=\"gr\u{fc}n\"");
        assert_eq!(body(Content::Raw, b"\xff\x00"), "data_base64=\"/wA=\"");
        assert_eq!(body(Content::Tensor, b"text"), "data_base64=\"dGV4dA==\"");
        assert_eq!(body(Content::MessagePack, &[0x81, 0xa1, b'a', 0x02]), "value={\"a\":2}");
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let mut record = Record::default();
        set_body(&mut record, Content::Json, b"12345678901234567890.123456789");
        assert!(serde_json::to_string(&record).unwrap().contains("12345678901234567890.123456789"));
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(Content::Json, b"{\n \"a\": 1\r\n}", false).unwrap().as_ref(), b"{  \"a\": 1  }");
        assert_eq!(line(Content::Raw, b"\x1b[2J", false).unwrap().as_ref(), b"\x1b[2J");
        assert!(line(Content::Raw, b"\x1b[2J", true).is_none(), "a terminal gets a preview instead");
        assert!(line(Content::Tensor, b"1234", false).is_none());
    }
}
