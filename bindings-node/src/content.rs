//! What a payload is: tensors, attributes and value encodings between the two sides.

use axonic::{Attributes, Content, Dtype, Payload, Tensor};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::{OrThrow, invalid};
use crate::options::size;

/// The content type with this number; the facade uses the core's numbers.
pub fn content_of(number: i32) -> axonic::Result<Content> {
    u8::try_from(number)
        .ok()
        .and_then(Content::from_number)
        .ok_or_else(|| invalid(format!("no content type has the number {number}")))
}

/// What rides along with a payload beside its bytes.
#[napi(object)]
#[derive(Default)]
pub struct PayloadParts {
    /// The content type's number.
    pub content: i32,
    /// The element type of a tensor.
    pub dtype: Option<String>,
    /// The shape of a tensor.
    pub shape: Option<Vec<f64>>,
    /// CloudEvents attributes: name, value, name, value.
    pub attributes: Option<Vec<String>>,
}

/// [`PayloadParts`] in the core's terms, owned.
pub struct Parts {
    /// The content type.
    pub content: Content,
    /// Shape and element type.
    pub tensor: Option<Tensor>,
    /// Attributes.
    pub attributes: Option<Attributes>,
}

impl Parts {
    /// The payload with these bytes.
    pub fn payload<'a>(&'a self, data: &'a [u8]) -> Payload<'a> {
        Payload {
            data,
            content: self.content,
            tensor: self.tensor.as_ref(),
            attributes: self.attributes.as_ref(),
        }
    }
}

impl PayloadParts {
    /// Checks and converts.
    pub fn parse(self) -> axonic::Result<Parts> {
        let tensor = self.dtype.map(|dtype| tensor(&dtype, self.shape.unwrap_or_default())).transpose()?;
        let attributes = self.attributes.map(attributes).transpose()?;
        Ok(Parts { content: content_of(self.content)?, tensor, attributes })
    }
}

/// A tensor description.
pub fn tensor(dtype: &str, shape: Vec<f64>) -> axonic::Result<Tensor> {
    let dtype = Dtype::from_name(dtype)
        .ok_or_else(|| invalid(format!("no tensor has elements of type {dtype:?}")))?;
    let shape = shape.into_iter().map(|n| size("a dimension of shape", n)).collect::<axonic::Result<_>>()?;
    Ok(Tensor { dtype, shape })
}

fn attributes(pairs: Vec<String>) -> axonic::Result<Attributes> {
    let mut attributes = Attributes::new();
    let mut pairs = pairs.into_iter();
    while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
        attributes.insert(&name, &value)?;
    }
    Ok(attributes)
}

/// Attributes as the facade takes them: name, value, name, value.
pub fn flatten(attributes: &Attributes) -> Vec<String> {
    attributes.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]).collect()
}

/// The attributes of a sample.
pub fn attributes_of(sample: &axonic::Sample) -> axonic::Result<Vec<String>> {
    Ok(flatten(&sample.attributes()?))
}

/// The names of the element types, by their number in the protocol.
#[napi]
pub fn dtypes() -> Vec<String> {
    (0..=u8::MAX)
        .map_while(
            |n| if n == 0 { Some(String::new()) } else { Dtype::from_number(n).map(|d| d.name().into()) },
        )
        .collect()
}

/// MessagePack from JSON text.
#[napi]
pub fn json_to_msgpack<'env>(env: &'env Env, json: &[u8]) -> Result<BufferSlice<'env>> {
    BufferSlice::copy_from(env, axonic::json_to_msgpack(json).or_throw(env)?)
}

/// JSON text from MessagePack.
#[napi]
pub fn msgpack_to_json<'env>(env: &'env Env, msgpack: &[u8]) -> Result<BufferSlice<'env>> {
    BufferSlice::copy_from(env, axonic::msgpack_to_json(msgpack).or_throw(env)?)
}
