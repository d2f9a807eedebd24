//! What a Python value becomes on the wire, and back.
//!
//! Bytes travel as they are, arrays as tensors with type and shape, everything else as JSON written by
//! `axonic._codec` (dataclasses, pydantic models, dicts, numbers, ...). MessagePack is made from that
//! JSON by the core, so that every language agrees on the mapping.

use axonic::{Attributes, Content, Error, ErrorKind, Payload, Schema, Tensor};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyMemoryView, PyString, PyTuple,
};

use crate::buffer::{self, Source};
use crate::dlpack;
use crate::error::{OrRaise, begin_with, invalid, raise};

/// A value ready to be sent.
pub struct Outgoing<'py> {
    source: Source<'py>,
    content: Content,
    tensor: Option<Tensor>,
    attributes: Option<Attributes>,
}

impl Outgoing<'_> {
    pub fn payload(&self) -> Payload<'_> {
        Payload {
            data: self.source.data(),
            content: self.content,
            tensor: self.tensor.as_ref(),
            attributes: self.attributes.as_ref(),
        }
    }

    /// Adds an attribute that was not given.
    pub fn default_attribute(&mut self, name: &str, value: &str) -> axonic::Result<()> {
        let attributes = self.attributes.get_or_insert_default();
        if attributes.get(name).is_some() { Ok(()) } else { attributes.insert(name, value) }
    }

    fn plain(source: Source<'_>, content: Content) -> Outgoing<'_> {
        Outgoing { source, content, tensor: None, attributes: None }
    }
}

/// How values of one publisher, or one call, are to be sent.
#[derive(Clone, Copy)]
pub struct Manner<'a, 'py> {
    /// Noun and name of where they go, and what is done with them there, for messages.
    pub what: &'a str,
    pub verb: &'static str,
    /// The publisher's `type=`.
    pub kind: Option<&'a Bound<'py, PyAny>>,
    /// The call's `content=`; chosen by the value when absent.
    pub content: Option<Content>,
    /// The call's `attributes=`.
    pub attributes: Option<&'a Bound<'py, PyMapping>>,
}

/// Encodes one value.
pub fn encode<'py>(value: &Bound<'py, PyAny>, manner: Manner<'_, 'py>) -> PyResult<Outgoing<'py>> {
    let what = || format!("{}: cannot {}", manner.what, manner.verb);
    by_manner(value, manner).map_err(|error| begin_with(value.py(), error, what))
}

fn by_manner<'py>(value: &Bound<'py, PyAny>, manner: Manner<'_, 'py>) -> PyResult<Outgoing<'py>> {
    let mut outgoing = match manner.content {
        None => by_value(value, manner.kind)?,
        Some(content) => as_asked(value, content, manner.kind)?,
    };
    if let Some(given) = manner.attributes {
        outgoing.attributes = Some(attributes(given)?);
    }
    Ok(outgoing)
}

fn by_value<'py>(value: &Bound<'py, PyAny>, kind: Option<&Bound<'py, PyAny>>) -> PyResult<Outgoing<'py>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Outgoing::plain(Source::Bytes(bytes.clone()), Content::Raw));
    }
    if is_structured(value) {
        return json(value, kind);
    }
    if !value.is_instance_of::<PyByteArray>()
        && !value.is_instance_of::<PyMemoryView>()
        && value.hasattr("__dlpack__")?
    {
        return array(value);
    }
    if !buffer::is_buffer(value) {
        return json(value, kind);
    }
    let (source, tensor) = buffer::read(value)?;
    if buffer::is_plain(&tensor) {
        return Ok(Outgoing::plain(source, Content::Raw));
    }
    Ok(Outgoing { source, content: Content::Tensor, tensor: Some(tensor), attributes: None })
}

/// The plain Python types that always mean JSON, asked first because they are the common ones.
fn is_structured(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PyBool>()
}

fn array<'py>(value: &Bound<'py, PyAny>) -> PyResult<Outgoing<'py>> {
    let (source, tensor) = if buffer::is_buffer(value) {
        buffer::read(value)?
    } else {
        let (bytes, tensor) = dlpack::read(value)?;
        (Source::Copied(bytes), tensor)
    };
    Ok(Outgoing { source, content: Content::Tensor, tensor: Some(tensor), attributes: None })
}

fn as_asked<'py>(
    value: &Bound<'py, PyAny>,
    content: Content,
    kind: Option<&Bound<'py, PyAny>>,
) -> PyResult<Outgoing<'py>> {
    let encoded = buffer::is_buffer(value);
    match content {
        Content::Tensor => array(value),
        Content::Raw if encoded => Ok(Outgoing::plain(buffer::read_bytes(value)?, content)),
        Content::Raw => {
            let text = format!(
                "content=\"raw\" sends bytes; {} has none. Encode it first, or leave content= away",
                value.get_type().name()?
            );
            Err(invalid(value.py(), text))
        }
        Content::Json | Content::MessagePack if encoded => {
            Ok(Outgoing::plain(buffer::read_bytes(value)?, content))
        }
        Content::Json => json(value, kind),
        Content::MessagePack => {
            let text = json(value, kind)?;
            let packed = axonic::json_to_msgpack(text.source.data()).or_raise(value.py())?;
            Ok(Outgoing::plain(Source::Copied(packed), content))
        }
    }
}

fn json<'py>(value: &Bound<'py, PyAny>, kind: Option<&Bound<'py, PyAny>>) -> PyResult<Outgoing<'py>> {
    let py = value.py();
    let text = codec(py, &ENCODE, "encode")?.call1((value, kind))?.cast_into::<PyString>()?;
    if let Err(error) = text.to_str() {
        // Half of a surrogate pair: Python holds it, UTF-8 cannot.
        return Err(invalid(py, format!("this text has no JSON form: {error}")));
    }
    Ok(Outgoing::plain(Source::Text(text), Content::Json))
}

static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static DECODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static SCHEMA: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static TO_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn codec<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    cell.import(py, "axonic._codec", name)
}

/// Decodes JSON or MessagePack into Python objects, shaped by the subscriber's `type=`.
pub fn decode<'py>(
    py: Python<'py>,
    content: Content,
    data: &[u8],
    kind: Option<&Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let transcoded;
    let text = match content {
        Content::MessagePack => {
            transcoded = axonic::msgpack_to_json(data).or_raise(py)?;
            &transcoded[..]
        }
        _ => data,
    };
    let text = std::str::from_utf8(text).map_err(|error| {
        raise(py, Error::new(ErrorKind::Decode, format!("the message is not JSON: {error}")))
    })?;
    codec(py, &DECODE, "decode")?.call1((text, kind))
}

/// Shows a tensor message as a numpy array if numpy is installed, else as a shaped memoryview.
pub fn as_array<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    codec(owner.py(), &ARRAY, "as_array")?.call1((owner,))
}

/// The body of every `__array__`.
pub fn to_array<'py>(
    owner: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let view = PyMemoryView::from(owner)?;
    codec(owner.py(), &TO_ARRAY, "to_array")?.call1((view, dtype, copy))
}

/// Reads an `attributes=` mapping of strings.
pub fn attributes(given: &Bound<'_, PyMapping>) -> PyResult<Attributes> {
    let py = given.py();
    let mut attributes = Attributes::new();
    for pair in given.items()? {
        let (name, value): (String, Bound<'_, PyAny>) = pair.extract()?;
        let Ok(value) = value.extract::<String>() else {
            return Err(invalid(py, format!("attribute {name:?}: its value must be a string")));
        };
        attributes.insert(&name, &value).or_raise(py)?;
    }
    Ok(attributes)
}

/// Attributes as a dict.
pub fn attribute_dict<'py>(py: Python<'py>, attributes: Option<&Attributes>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in attributes.iter().flat_map(|attributes| attributes.iter()) {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

/// Reads a `schema=` argument: a JSON Schema as a mapping, or as JSON text.
pub fn schema_argument(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Schema>> {
    let Some(given) = given else { return Ok(None) };
    let text = match given.cast::<PyString>() {
        Ok(text) => text.clone(),
        Err(_) => codec(py, &SCHEMA, "schema_text")?.call1((given,))?.cast_into()?,
    };
    match text.to_str() {
        Ok(text) => Schema::new(text).map(Some).or_raise(py),
        Err(error) => Err(invalid(py, format!("not a JSON Schema: {error}; correct the schema"))),
    }
}

/// Reads a `content=` argument.
pub fn content_argument(py: Python<'_>, name: Option<&str>) -> PyResult<Option<Content>> {
    let all = [Content::Raw, Content::Json, Content::MessagePack, Content::Tensor];
    name.map(|name| choice(py, "content", name, all.map(|content| (content.name(), content)))).transpose()
}

/// Finds `name` among the values an argument can have.
pub fn choice<T: Copy, const N: usize>(
    py: Python<'_>,
    argument: &str,
    name: &str,
    known: [(&'static str, T); N],
) -> PyResult<T> {
    if let Some((_, value)) = known.iter().find(|(known, _)| *known == name) {
        return Ok(*value);
    }
    let names: Vec<String> = known.iter().map(|(known, _)| format!("{known:?}")).collect();
    Err(invalid(py, format!("{argument}={name:?} is not known; use one of {}", names.join(", "))))
}
