//! Statuses as errors of JSON-RPC, and back.
//!
//! The codes are the specification's where it has one, and otherwise -32000 less gRPC's number; `data` is the status, as
//! services of Axonic tell it to each other. Another's error keeps its code as the reason, and its `data` as the details.

use crate::status::{Code, Status};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// What the specification calls errors that are not the handler's; the status' own text is in `data`.
const NAMES: [(i64, &str); 3] = [
    (PARSE_ERROR, "Parse error"),
    (INVALID_REQUEST, "Invalid Request"),
    (METHOD_NOT_FOUND, "Method not found"),
];

fn code_of(code: Code) -> i64 {
    match code {
        Code::Unimplemented => METHOD_NOT_FOUND,
        Code::InvalidArgument => INVALID_PARAMS,
        Code::Internal => INTERNAL_ERROR,
        code => -32000 - i64::from(code.number()),
    }
}

/// The error that tells a status.
pub fn encode(status: &Status) -> String {
    encode_as(code_of(status.code), status)
}

/// The same of what went wrong before there was a call.
pub fn encode_as(code: i64, status: &Status) -> String {
    let name = NAMES.iter().find(|row| row.0 == code).map(|row| row.1);
    let message = Value::from(name.unwrap_or(&status.message));
    let data = String::from_utf8(status.encode()).unwrap_or_default();
    format!(r#"{{"code":{code},"message":{message},"data":{data}}}"#)
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The status that an error tells.
pub fn decode(error: &RawValue) -> Status {
    let Ok(ErrorObject { code, message, data }) = serde_json::from_str(error.get()) else {
        let text: String = error.get().chars().take(200).collect();
        return Status::new(Code::Unknown, format!("it failed with what is no error of JSON-RPC: {text}"));
    };
    if let Some(status) = data.and_then(|data| Status::read(data.get()))
        && (code_of(status.code) == code || code == INVALID_REQUEST || code == PARSE_ERROR)
    {
        return status;
    }
    let details = data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
    let own = match code {
        METHOD_NOT_FOUND => Code::Unimplemented,
        INVALID_PARAMS | INVALID_REQUEST => Code::InvalidArgument,
        INTERNAL_ERROR | PARSE_ERROR => Code::Internal,
        _ => Code::Unknown,
    };
    Status::new(own, message).with_reason(code.to_string()).with_details(details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(error: &str) -> Status {
        decode(serde_json::from_str(error).unwrap())
    }

    #[test]
    fn every_status_comes_back_as_it_was() {
        for code in Code::all() {
            let status = Status::new(code, "no \"order\" 7")
                .with_reason("no_such_order")
                .with_details(serde_json::json!({ "order": 7 }))
                .with_retryable(true)
                .with_origin("orders@1.0.0");
            assert_eq!(read(&encode(&status)), status);
            let number = code_of(code);
            assert!((-32016..=-32001).contains(&number) || (-32603..=-32601).contains(&number));
        }
    }

    #[test]
    fn errors_of_others_are_statuses_too() {
        for (error, code, reason, details) in [
            (r#"{"code":-32601,"message":"m"}"#, Code::Unimplemented, "-32601", Value::Null),
            (
                r#"{"code":-32602,"message":"m","data":[1]}"#,
                Code::InvalidArgument,
                "-32602",
                serde_json::json!([1]),
            ),
            (r#"{"code":-32603,"message":"m"}"#, Code::Internal, "-32603", Value::Null),
            (r#"{"code":-32600,"message":"m"}"#, Code::InvalidArgument, "-32600", Value::Null),
            (r#"{"code":-32700,"message":"m"}"#, Code::Internal, "-32700", Value::Null),
            (r#"{"code":-32014,"message":"m","data":null}"#, Code::Unknown, "-32014", Value::Null),
            // What looks like a status of ours, with another code.
            (
                r#"{"code":7,"message":"m","data":{"code":"NOT_FOUND"}}"#,
                Code::Unknown,
                "7",
                serde_json::json!({ "code": "NOT_FOUND" }),
            ),
        ] {
            let status = read(error);
            assert_eq!((status.code, status.reason.as_str(), &status.details), (code, reason, &details));
            assert_eq!((status.message.as_str(), status.retryable), ("m", false));
        }
        for nonsense in ["7", "{}", r#"{"code":"x"}"#, r#"{"code":1e99}"#] {
            assert_eq!(read(nonsense).code, Code::Unknown);
        }
    }
}
