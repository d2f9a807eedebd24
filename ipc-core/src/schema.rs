//! JSON Schemas, which the values of a topic can be held to.

use crate::error::{Error, ErrorKind, Result};
use crate::value::{Content, read_msgpack};
use std::fmt;
use std::sync::Arc;

/// A JSON Schema (drafts 4 to 2020-12; `$schema` says which, 2020-12 without). References must lead into the
/// schema itself: nothing is fetched. Cloning shares it.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    text: String,
    validator: jsonschema::Validator,
}

impl Schema {
    /// Compiles a schema from its JSON text.
    pub fn new(text: &str) -> Result<Schema> {
        let refused = |why: &dyn fmt::Display| {
            Error::new(ErrorKind::InvalidArgument, format!("not a JSON Schema: {why}; correct the schema"))
        };
        let schema: serde_json::Value = serde_json::from_str(text).map_err(|e| refused(&e))?;
        // Asked of the schema's own rules first, which say better what is wrong than its compilation does.
        jsonschema::meta::validate(&schema).map_err(|e| refused(&e))?;
        let validator =
            jsonschema::options().should_validate_formats(true).build(&schema).map_err(|e| refused(&e))?;
        Ok(Schema(Arc::new(Compiled { text: text.into(), validator })))
    }

    /// The JSON text it was made from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether a payload satisfies it: `Decode` if not, naming the place in the value and the rule. Bytes and
    /// tensors are no JSON values and satisfy no schema.
    pub fn check(&self, content: Content, data: &[u8]) -> Result<()> {
        let undecodable = |why: String| Error::new(ErrorKind::Decode, why);
        let value: serde_json::Value = match content {
            Content::Json => serde_json::from_slice(data)
                .map_err(|e| undecodable(format!("not a readable JSON value: {e}")))?,
            Content::MessagePack => {
                let (value, rest) = read_msgpack(data)
                    .map_err(|e| undecodable(format!("not a readable MessagePack value: {e}")))?;
                if !rest.is_empty() {
                    return Err(undecodable("not one MessagePack value: there is more after it".into()));
                }
                value
            }
            Content::Raw | Content::Tensor => {
                let text =
                    format!("{} content satisfies no schema; send JSON or MessagePack", content.name());
                return Err(undecodable(text));
            }
        };
        self.0.validator.validate(&value).map_err(|e| {
            let place = e.instance_path().to_string();
            let place = if place.is_empty() { "the value".into() } else { place };
            undecodable(format!(
                "{place} does not satisfy the schema's '{}': {}",
                e.schema_path(),
                e.masked()
            ))
        })
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json_to_msgpack;

    const ORDER: &str =
        r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;

    #[test]
    fn a_value_satisfies_its_schema_or_is_told_where_not() {
        let schema = Schema::new(ORDER).unwrap();
        for (good, json) in
            [(true, r#"{"id": 1}"#), (false, r#"{"id": "one"}"#), (false, "{}"), (false, "[]")]
        {
            let msgpack = json_to_msgpack(json.as_bytes()).unwrap();
            assert_eq!(schema.check(Content::Json, json.as_bytes()).is_ok(), good, "{json}");
            assert_eq!(schema.check(Content::MessagePack, &msgpack).is_ok(), good, "{json}");
        }
        let e = schema.check(Content::Json, br#"{"id": "one"}"#).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Decode);
        assert!(
            e.to_string().contains("/id does not satisfy") && e.to_string().contains("/properties/id/type"),
            "{e}"
        );
        for content in [Content::Raw, Content::Tensor] {
            assert_eq!(schema.check(content, b"{\"id\": 1}").unwrap_err().kind(), ErrorKind::Decode);
        }
        assert_eq!(schema.check(Content::Json, b"{").unwrap_err().kind(), ErrorKind::Decode);
        assert!(schema.check(Content::MessagePack, b"\x81\xa2id\x01").is_ok());
        assert_eq!(
            schema.check(Content::MessagePack, b"\x81\xa2id\x01\xc1").unwrap_err().kind(),
            ErrorKind::Decode
        );
        // What does not fit may be large and nobody's business: it is not in the sentence.
        let large = format!("{{\"id\": \"{}\"}}", "x".repeat(1 << 20));
        assert!(schema.check(Content::Json, large.as_bytes()).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in ["", "{", "7", r#"{"type": "nothing"}"#, r#"{"$ref": "https://example.org/order.json"}"#] {
            assert_eq!(Schema::new(bad).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad}");
        }
        assert!(Schema::new("true").is_ok());
    }
}
