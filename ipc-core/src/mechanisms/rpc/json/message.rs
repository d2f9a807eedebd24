//! The words of JSON-RPC 2.0: requests, notifications, responses, batches.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a text says.
#[derive(Debug)]
pub enum Text<'a> {
    One(Message<'a>),
    Batch(Vec<&'a RawValue>),
}

/// One of them.
#[derive(Debug)]
pub enum Message<'a> {
    /// A request; without an id a notification.
    Request {
        id: Option<&'a RawValue>,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Response {
        id: Option<&'a RawValue>,
        outcome: Result<&'a RawValue, &'a RawValue>,
    },
    /// JSON, but neither; why.
    Invalid {
        id: Option<&'a RawValue>,
        why: String,
    },
}

/// Members as they stand there. `null` is there, too.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a text; an error says why it is no JSON.
pub fn read(text: &[u8]) -> Result<Text<'_>, String> {
    let whole: &RawValue = serde_json::from_slice(text).map_err(|e| {
        let hint = if e.is_eof() { "; a request is one line" } else { "" };
        format!("{e}{hint}")
    })?;
    if !whole.get().starts_with('[') {
        return Ok(Text::One(Message::of(whole)));
    }
    serde_json::from_str(whole.get()).map(Text::Batch).map_err(|e| e.to_string())
}

impl<'a> Message<'a> {
    pub fn of(value: &'a RawValue) -> Message<'a> {
        let invalid = |id, why: String| Message::Invalid { id, why };
        if !value.get().starts_with('{') {
            return invalid(None, "a request is an object".into());
        }
        let Members { jsonrpc, id, method, params, result, error } = match serde_json::from_str(value.get()) {
            Ok(members) => members,
            Err(e) => return invalid(None, e.to_string()),
        };
        if id.is_some_and(|id| !is_id(id)) {
            return invalid(None, "its id is neither a string nor a number".into());
        }
        let Some(method) = method else {
            return match (error.filter(|error| error.get() != "null"), result) {
                (Some(error), _) => Message::Response { id, outcome: Err(error) },
                (None, Some(result)) => Message::Response { id, outcome: Ok(result) },
                (None, None) => invalid(id, "it has no method".into()),
            };
        };
        if jsonrpc.is_none_or(|version| version.get() != "\"2.0\"") {
            return invalid(id, "its member jsonrpc is not \"2.0\"".into());
        }
        // Many say so that there are none.
        let params = params.filter(|params| params.get() != "null");
        if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
            return invalid(id, "its params are neither an object nor an array".into());
        }
        match text_of(method) {
            Some(method) => Message::Request { id, method, params },
            None => invalid(id, "its method is not a string".into()),
        }
    }
}

fn is_id(id: &RawValue) -> bool {
    id.get() == "null" || id.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

/// A string's text.
fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// A request; without an id a notification. `params` is JSON, or nothing.
pub fn request(id: u32, method: &str, params: &str) -> String {
    let method = serde_json::Value::from(method);
    match params {
        "" => format!(r#"{{"jsonrpc":"2.0","method":{method},"id":{id}}}"#),
        params => format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params},"id":{id}}}"#),
    }
}

/// A response that gives a result.
pub fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#)
}

/// A response that gives an error.
pub fn error(id: &str, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","error":{error},"id":{id}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let raw = |value: Option<&RawValue>| value.map_or("-".into(), |value| value.get().to_owned());
        let one = |message: Message<'_>| match message {
            Message::Request { id, method, params } => format!("{} {method} {}", raw(id), raw(params)),
            Message::Response { id, outcome: Ok(result) } => format!("{} ok {}", raw(id), result.get()),
            Message::Response { id, outcome: Err(error) } => format!("{} error {}", raw(id), error.get()),
            Message::Invalid { id, why } => format!("{} invalid: {why}", raw(id)),
        };
        match read(text.as_bytes()) {
            Ok(Text::One(message)) => one(message),
            Ok(Text::Batch(all)) => {
                all.into_iter().map(|value| one(Message::of(value))).collect::<Vec<_>>().join("; ")
            }
            Err(e) => format!("no JSON: {e}"),
        }
    }

    #[test]
    fn texts_are_read_as_the_specification_says() {
        for (text, says) in [
            (
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
                "1 subtract [42, 23]",
            ),
            (r#" {"id":null,"method":"a\u00e4","jsonrpc":"2.0","other":{}} "#, "null aä -"),
            (r#"{"jsonrpc":"2.0","method":"update"}"#, "- update -"),
            (r#"{"jsonrpc":"2.0","result":null,"id":"x"}"#, "\"x\" ok null"),
            (r#"{"jsonrpc":"2.0","error":null,"result":3,"id":1.5}"#, "1.5 ok 3"),
            (r#"{"jsonrpc":"2.0","error":{"code":1},"result":null,"id":1}"#, "1 error {\"code\":1}"),
            (r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#, "- invalid: its params are neither"),
            (r#"{"jsonrpc":"2.0","method":1,"id":7}"#, "7 invalid: its method is not a string"),
            (r#"{"jsonrpc":"1.0","method":"a","id":7}"#, "7 invalid: its member jsonrpc"),
            (r#"{"jsonrpc":"2.0","method":"a","id":{}}"#, "- invalid: its id"),
            (r#"{"jsonrpc":"2.0","method":"a","id":true}"#, "- invalid: its id"),
            (r#"{"jsonrpc":"2.0","method":"a","params":null,"id":1}"#, "1 a -"),
            (r#"{"jsonrpc":"2.0","method":"a","params":3,"id":1}"#, "1 invalid: its params"),
            (r#"{"id":1,"id":2}"#, "- invalid: duplicate field"),
            ("1", "- invalid: a request is an object"),
            ("[]", ""),
            ("[1, {\"jsonrpc\":\"2.0\",\"method\":\"a\"}]", "- invalid: a request is an object; - a -"),
            ("{\"jsonrpc\": \"2.0\", \"method\": \"foobar, \"params\": \"bar\", \"baz]", "no JSON: expected"),
            ("{", "no JSON: EOF while parsing an object at line 1 column 1; a request is one line"),
            ("{} {}", "no JSON: trailing characters"),
            ("\"\u{fffd}", "no JSON: EOF"),
        ] {
            let read = said(text);
            assert!(read.starts_with(says) && (!says.is_empty() || read.is_empty()), "{text}: {read}");
        }
        assert!(read(b"{\"a\":\"\xff\"}").is_err());
    }
}
