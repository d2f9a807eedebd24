//! What a message means: content types, tensors, CloudEvents attributes, and how they travel beside
//! the payload.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest metadata (a tensor's shape and the encoded attributes) of one message, in bytes.
pub const MAX_META: usize = 4096;
/// Most dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 8;
/// How deep a MessagePack value may be nested; serde_json has the same limit.
const MAX_NESTING: usize = 128;

/// How the bytes of a message are to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[repr(u8)]
pub enum Content {
    /// Bytes without further meaning.
    #[default]
    Raw = 0,
    /// A JSON text in UTF-8.
    Json = 1,
    /// A MessagePack value.
    MessagePack = 2,
    /// The elements of a tensor, row by row.
    Tensor = 3,
}

impl Content {
    /// The content type with this number.
    pub fn from_number(number: u8) -> Option<Content> {
        [Content::Raw, Content::Json, Content::MessagePack, Content::Tensor].get(number as usize).copied()
    }

    /// Its short name: `raw`, `json`, `msgpack`, `tensor`.
    pub fn name(self) -> &'static str {
        ["raw", "json", "msgpack", "tensor"][self as usize]
    }
}

/// The element type of a tensor; numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Dtype {
    Bool = 1,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

/// Name (numpy's), bytes, PEP 3118 format, DLPack type code (its lanes are 1, its bits 8 times the bytes).
type DtypeRow = (Dtype, &'static str, usize, Option<&'static str>, u8);

const DTYPES: [DtypeRow; 15] = [
    (Dtype::Bool, "bool", 1, Some("?"), 6),
    (Dtype::I8, "int8", 1, Some("b"), 0),
    (Dtype::U8, "uint8", 1, Some("B"), 1),
    (Dtype::I16, "int16", 2, Some("h"), 0),
    (Dtype::U16, "uint16", 2, Some("H"), 1),
    (Dtype::I32, "int32", 4, Some("i"), 0),
    (Dtype::U32, "uint32", 4, Some("I"), 1),
    (Dtype::I64, "int64", 8, Some("q"), 0),
    (Dtype::U64, "uint64", 8, Some("Q"), 1),
    (Dtype::F16, "float16", 2, Some("e"), 2),
    (Dtype::BF16, "bfloat16", 2, None, 4),
    (Dtype::F32, "float32", 4, Some("f"), 2),
    (Dtype::F64, "float64", 8, Some("d"), 2),
    (Dtype::C64, "complex64", 8, Some("Zf"), 5),
    (Dtype::C128, "complex128", 16, Some("Zd"), 5),
];

impl Dtype {
    /// Every element type.
    pub fn all() -> impl Iterator<Item = Dtype> {
        DTYPES.iter().map(|row| row.0)
    }

    fn row(self) -> &'static DtypeRow {
        &DTYPES[self as usize - 1]
    }

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Dtype> {
        DTYPES.get(usize::from(number).wrapping_sub(1)).map(|row| row.0)
    }

    /// numpy's name, such as `float32`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The type with this numpy name.
    pub fn from_name(name: &str) -> Option<Dtype> {
        DTYPES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// Python's buffer format (PEP 3118), where it has one.
    pub fn format(self) -> Option<&'static str> {
        self.row().3
    }

    /// DLPack's type code and bits.
    pub fn dlpack(self) -> (u8, u8) {
        (self.row().4, (self.size() * 8) as u8)
    }
}

/// Type and shape of a tensor, row-major without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Element type.
    pub dtype: Dtype,
    /// Elements along each of up to 8 dimensions; empty for a single element.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// Describes a tensor.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<usize>>) -> Tensor {
        Tensor { dtype, shape: shape.into() }
    }

    /// Bytes of its elements; an error when the shape is impossible.
    pub fn byte_len(&self) -> Result<usize> {
        let count = self.shape.iter().try_fold(self.dtype.size(), |n, d| n.checked_mul(*d));
        match count {
            Some(bytes) if self.shape.len() <= MAX_DIMENSIONS && bytes <= isize::MAX as usize => Ok(bytes),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "tensor of shape {:?}: at most {MAX_DIMENSIONS} dimensions and {} bytes",
                    self.shape,
                    isize::MAX
                ),
            )),
        }
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend([self.dtype as u8, self.shape.len() as u8, 0, 0, 0, 0, 0, 0]);
        self.shape.iter().for_each(|d| to.extend((*d as u64).to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Option<(Tensor, &[u8])> {
        let (head, rest) = bytes.split_at_checked(8)?;
        let dtype = Dtype::from_number(head[0])?;
        let dimensions = usize::from(head[1]);
        if dimensions > MAX_DIMENSIONS {
            return None;
        }
        let (words, rest) = rest.split_at_checked(dimensions * 8)?;
        let word = |chunk: &[u8]| chunk.try_into().ok().map(|c| u64::from_le_bytes(c) as usize);
        let shape = words.chunks(8).map(word).collect::<Option<Vec<usize>>>()?;
        Some((Tensor { dtype, shape }, rest))
    }
}

/// CloudEvents 1.0 attributes: names of 1 to 20 lower-case letters and digits, string values, in the
/// order they were set. A message that has any is completed to a valid event when it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Sets one; an earlier value is replaced.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<()> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.is_empty() || name.len() > 20 || !name.bytes().all(fits) {
            let text =
                format!("attribute name {name:?}: CloudEvents allows 1 to 20 lower-case letters and digits");
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        if let Some(control) = value.chars().find(|c| c.is_control()) {
            let text = format!(
                "attribute {name:?}: its value holds {control:?}; CloudEvents allows no control characters"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value.into(),
            None => self.0.push((name.into(), value.into())),
        }
        Ok(())
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets those that a valid event needs and that are missing, without replacing any.
    pub(crate) fn complete(&self, defaults: &[(&str, &dyn Fn() -> String)]) -> Attributes {
        let mut all = self.clone();
        for (name, value) in defaults {
            if all.get(name).is_none() {
                all.0.push((name.to_string(), value()));
            }
        }
        all
    }
}

/// A message to publish: bytes and what they mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// How to understand them.
    pub content: Content,
    /// Type and shape, with [`Content::Tensor`] only.
    pub tensor: Option<&'a Tensor>,
    /// CloudEvents attributes.
    pub attributes: Option<&'a Attributes>,
}

impl<'a> Payload<'a> {
    /// Bytes without further meaning.
    pub fn raw(data: &'a [u8]) -> Payload<'a> {
        Payload { data, ..Default::default() }
    }

    /// A JSON text; it is sent as it is.
    pub fn json(data: &'a [u8]) -> Payload<'a> {
        Payload { data, content: Content::Json, ..Default::default() }
    }

    /// The elements of a tensor.
    pub fn tensor(data: &'a [u8], tensor: &'a Tensor) -> Payload<'a> {
        Payload { data, content: Content::Tensor, tensor: Some(tensor), ..Default::default() }
    }

    /// The same with attributes.
    pub fn with_attributes(self, attributes: &'a Attributes) -> Payload<'a> {
        Payload { attributes: Some(attributes), ..self }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(data: &'a [u8]) -> Payload<'a> {
        Payload::raw(data)
    }
}

/// Encodes what travels beside a payload. The tensor's bytes must be `length` long.
pub(crate) fn encode_meta(
    content: Content,
    tensor: Option<&Tensor>,
    attributes: Option<&Attributes>,
    length: usize,
) -> Result<Vec<u8>> {
    let mut meta = Vec::new();
    match tensor {
        Some(_) if content != Content::Tensor => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a tensor's shape goes with content `tensor` only; set it, or leave the shape out",
            ));
        }
        Some(tensor) if tensor.byte_len()? != length => {
            let text = format!(
                "tensor {} {:?} has {} bytes, but {length} were given; give all its elements, or another shape",
                tensor.dtype.name(),
                tensor.shape,
                tensor.byte_len()?
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        Some(tensor) => tensor.encode(&mut meta),
        None if content == Content::Tensor => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "content `tensor` needs the tensor's type and shape; give them, or another content",
            ));
        }
        None => {}
    }
    if let Some(attributes) = attributes {
        let encoded = rmp_serde::to_vec(attributes)
            .map_err(|e| Error::new(ErrorKind::Decode, format!("attributes: {e}")))?;
        meta.extend(encoded);
    }
    if meta.len() > MAX_META {
        let text = format!(
            "attributes take {} bytes encoded, the limit is {MAX_META}: put large values into the payload",
            meta.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    Ok(meta)
}

/// Reads the metadata back. `length` is that of the payload, which a tensor must have.
pub(crate) fn decode_tensor(meta: &[u8], length: usize) -> Result<Tensor> {
    match Tensor::decode(meta) {
        Some((tensor, _)) if tensor.byte_len().is_ok_and(|n| n == length) => Ok(tensor),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "a tensor's shape does not fit its {length} bytes; its publisher's memory was damaged, restart it"
            ),
        )),
    }
}

/// Reads the attributes, which follow the tensor if there is one.
pub(crate) fn decode_attributes(meta: &[u8], after_tensor: bool) -> Result<Attributes> {
    let rest = if after_tensor { Tensor::decode(meta).map(|(_, rest)| rest) } else { Some(meta) };
    let decoded = rest.and_then(|bytes| rmp_serde::from_slice(bytes).ok());
    decoded.ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            "a message's attributes are not readable; its publisher's memory was damaged, restart it",
        )
    })
}

/// Turns a JSON text into MessagePack.
pub fn json_to_msgpack(json: &[u8]) -> Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|e| undecodable("JSON", &e))?;
    rmp_serde::to_vec(&value).map_err(|e| undecodable("JSON", &e))
}

/// Turns a MessagePack value into JSON. Byte strings become arrays of numbers; keys must be strings.
pub fn msgpack_to_json(msgpack: &[u8]) -> Result<Vec<u8>> {
    let (value, _) = read_msgpack(msgpack).map_err(|e| undecodable("MessagePack", &e))?;
    serde_json::to_vec(&value).map_err(|e| undecodable("MessagePack", &e))
}

/// Reads a MessagePack value, and returns what follows it. A deeper one than a JSON text may hold is refused: it
/// comes from another process, and each level of it takes some of the reader's stack.
pub(crate) fn read_msgpack(
    msgpack: &[u8],
) -> std::result::Result<(serde_json::Value, &[u8]), rmp_serde::decode::Error> {
    let mut rest = msgpack;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_NESTING);
    let value = Deserialize::deserialize(&mut reader)?;
    Ok((value, rest))
}

fn undecodable(what: &str, why: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Decode, format!("not a readable {what} value: {why}"))
}

/// One line of at most about `width` characters that shows a message to a person.
pub fn preview(content: Content, tensor: Option<&Tensor>, data: &[u8], width: usize) -> String {
    let cut = |text: &str| match text.char_indices().nth(width) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_string(),
    };
    if let Some(tensor) = tensor {
        return format!("tensor {} {:?}, {} bytes", tensor.dtype.name(), tensor.shape, data.len());
    }
    let head = &data[..data.len().min(width * 4 + 4)];
    let msgpack = (content == Content::MessagePack).then(|| msgpack_to_json(data).ok()).flatten();
    match msgpack.as_deref().unwrap_or(head) {
        text if std::str::from_utf8(text)
            .is_ok_and(|t| !t.contains(|c: char| c.is_control() && c != '\n' && c != '\t')) =>
        {
            cut(String::from_utf8_lossy(text).escape_debug().to_string().replace("\\\"", "\"").as_str())
        }
        _ => format!(
            "{} bytes {}",
            data.len(),
            head.iter().take(width / 3).map(|b| format!("{b:02x} ")).collect::<String>().trim_end()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_types_is_in_order() {
        for (i, dtype) in Dtype::all().enumerate() {
            assert_eq!(dtype as usize, i + 1);
            assert_eq!(Dtype::from_number(dtype as u8), Some(dtype));
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!((Dtype::from_number(0), Dtype::from_number(16)), (None, None));
    }

    #[test]
    fn metadata_round_trips() {
        let tensor = Tensor::new(Dtype::F32, [480, 640]);
        let mut attributes = Attributes::new();
        attributes.insert("type", "frame").unwrap();
        attributes.insert("type", "depth").unwrap();
        for bad in ["a\0b", "two\nlines", "\u{85}"] {
            assert_eq!(attributes.insert("type", bad).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        let meta = encode_meta(Content::Tensor, Some(&tensor), Some(&attributes), 480 * 640 * 4).unwrap();
        assert_eq!(decode_tensor(&meta, 480 * 640 * 4).unwrap(), tensor);
        assert_eq!(decode_attributes(&meta, true).unwrap(), attributes);
        assert_eq!(decode_tensor(&meta, 5).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(
            encode_meta(Content::Tensor, None, None, 4).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        assert_eq!(
            encode_meta(Content::Raw, Some(&tensor), None, 4).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        attributes.insert("big", &"x".repeat(MAX_META)).unwrap();
        assert_eq!(
            encode_meta(Content::Raw, None, Some(&attributes), 0).unwrap_err().kind(),
            ErrorKind::TooLarge
        );
        for bad in ["", "Type", "a-b", &"x".repeat(21)] {
            assert!(attributes.insert(bad, "").is_err());
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        assert!(Tensor::new(Dtype::F64, [usize::MAX, 2]).byte_len().is_err());
        assert!(Tensor::new(Dtype::U8, vec![1; 9]).byte_len().is_err());
        assert_eq!(Tensor::new(Dtype::F64, []).byte_len().unwrap(), 8);
        assert_eq!(Tensor::new(Dtype::F64, [3, 0]).byte_len().unwrap(), 0);
    }

    #[test]
    fn values_nested_too_deep_are_refused_and_need_little_stack() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        let deepest = (1..200).take_while(|depth| msgpack_to_json(&nested(*depth)).is_ok()).count();
        // What is read as one can be read as the other.
        let json = msgpack_to_json(&nested(deepest)).unwrap();
        assert_eq!(json_to_msgpack(&json).unwrap(), nested(deepest));
        assert!(deepest >= 100, "{deepest}");
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let refused = small.spawn(move || {
            let bytes = nested(100_000);
            let shown = preview(Content::MessagePack, None, &bytes, 40);
            (msgpack_to_json(&bytes).unwrap_err().kind(), shown)
        });
        let (kind, shown) = refused.unwrap().join().unwrap();
        assert!(kind == ErrorKind::Decode && shown.starts_with("100001 bytes"), "{kind} {shown}");
    }

    proptest::proptest! {
        #[test]
        fn any_metadata_is_an_error_or_a_value(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = decode_tensor(&bytes, 4);
            let _ = decode_attributes(&bytes, true);
            let _ = decode_attributes(&bytes, false);
            let _ = msgpack_to_json(&bytes);
            let _ = preview(Content::MessagePack, None, &bytes, 40);
        }
    }
}
