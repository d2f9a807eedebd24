//! What calls carry: bytes and what they mean.

use super::frame::{FLAG_ATTRIBUTES, FLAG_TENSOR, Frame, HEADER, Header};
use crate::error::Result;
use crate::value::{
    Attributes, Content, Payload, Tensor, decode_attributes, decode_tensor, encode_meta, preview,
};
use std::fmt;

/// A payload as it goes out.
pub struct Parts<'a> {
    pub meta: Vec<u8>,
    pub data: &'a [u8],
}

impl<'a> Parts<'a> {
    pub const NONE: Parts<'static> = Parts { meta: Vec::new(), data: &[] };

    /// Encodes what travels beside a payload, and says in the header what that is.
    #[inline]
    pub fn of(payload: Payload<'a>, header: &mut Header) -> Result<Parts<'a>> {
        header.content = payload.content;
        if payload.content != Content::Tensor && payload.tensor.is_none() && payload.attributes.is_none() {
            return Ok(Parts { meta: Vec::new(), data: payload.data });
        }
        let meta = encode_meta(payload.content, payload.tensor, payload.attributes, payload.data.len())?;
        header.flags |= if payload.tensor.is_some() { FLAG_TENSOR } else { 0 };
        header.flags |= if payload.attributes.is_some() { FLAG_ATTRIBUTES } else { 0 };
        header.meta = meta.len() as u32;
        Ok(Parts { meta, data: payload.data })
    }

    /// What an item of these counts for in a stream: all of its frame. Items without bytes would have no end.
    pub fn weight(&self) -> usize {
        HEADER + self.meta.len() + self.data.len()
    }
}

/// The arguments or the result of a call, or an item of a stream: bytes and what they mean.
#[derive(Clone)]
pub struct Body {
    frame: Vec<u8>,
    meta: usize,
    data: usize,
    content: Content,
    flags: u8,
    tensor: Option<Tensor>,
}

impl Body {
    /// Keeps what a frame carries. `bytes` is the frame as a whole.
    #[inline]
    pub(super) fn keep(bytes: &[u8], frame: &Frame<'_>) -> Result<Body> {
        let meta = HEADER + frame.name.len();
        let mut body = Body {
            frame: bytes.to_vec(),
            meta,
            data: meta + frame.meta.len(),
            content: frame.header.content,
            flags: frame.header.flags,
            tensor: None,
        };
        if body.flags & FLAG_TENSOR != 0 {
            body.tensor = Some(decode_tensor(frame.meta, frame.data.len())?);
        }
        // Whoever takes the call has no use for an error of somebody else's.
        body.attributes()?;
        Ok(body)
    }

    /// What it counts for in a stream: all of its frame.
    pub(super) fn weight(&self) -> usize {
        self.frame.len()
    }

    /// The name that stands before it in its frame: the method's.
    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.frame[HEADER..self.meta]).unwrap_or_default()
    }

    /// Its bytes.
    pub fn data(&self) -> &[u8] {
        &self.frame[self.data..]
    }

    /// How to understand them.
    pub fn content(&self) -> Content {
        self.content
    }

    /// Type and shape, if it is a tensor.
    pub fn tensor(&self) -> Option<&Tensor> {
        self.tensor.as_ref()
    }

    /// Its attributes; empty if it has none.
    pub fn attributes(&self) -> Result<Attributes> {
        if self.flags & FLAG_ATTRIBUTES == 0 {
            return Ok(Attributes::new());
        }
        decode_attributes(&self.frame[self.meta..self.data], self.flags & FLAG_TENSOR != 0)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({})", preview(self.content, self.tensor(), self.data(), 60))
    }
}
