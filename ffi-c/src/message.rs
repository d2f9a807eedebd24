//! What travels: content types, tensors, attributes, and the structs that carry them in and out.

use crate::args::{self, Versioned};
use crate::error::{Failure, Outcome, enter_or};
use crate::handle::Noun;
use axonic::{Attributes, Content, Dtype, Payload, Tensor};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

pub mod held;

/// The most dimensions a tensor has.
pub const AXONIC_MAX_DIMENSIONS: usize = 8;

/// What the bytes of a message are.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_content {
    AXONIC_CONTENT_RAW = 0,
    AXONIC_CONTENT_JSON = 1,
    AXONIC_CONTENT_MESSAGEPACK = 2,
    /// An array of `dtype` elements with a `shape`, row-major.
    AXONIC_CONTENT_TENSOR = 3,
}

/// The element type of a tensor.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_dtype {
    /// No tensor.
    AXONIC_DTYPE_NONE = 0,
    AXONIC_DTYPE_BOOL = 1,
    AXONIC_DTYPE_I8 = 2,
    AXONIC_DTYPE_U8 = 3,
    AXONIC_DTYPE_I16 = 4,
    AXONIC_DTYPE_U16 = 5,
    AXONIC_DTYPE_I32 = 6,
    AXONIC_DTYPE_U32 = 7,
    AXONIC_DTYPE_I64 = 8,
    AXONIC_DTYPE_U64 = 9,
    AXONIC_DTYPE_F16 = 10,
    AXONIC_DTYPE_BF16 = 11,
    AXONIC_DTYPE_F32 = 12,
    AXONIC_DTYPE_F64 = 13,
    AXONIC_DTYPE_C64 = 14,
    AXONIC_DTYPE_C128 = 15,
}

/// A CloudEvents 1.0 attribute. A name is 1 to 20 characters of a-z and 0-9, a value holds no control
/// characters.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_attribute {
    pub name: *const c_char,
    pub value: *const c_char,
}

/// What a publisher sends. Start with AXONIC_PAYLOAD_INIT, which is an empty raw message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_payload {
    /// sizeof(axonic_payload)
    pub size: usize,
    pub data: *const c_void,
    /// Bytes at `data`.
    pub data_size: usize,
    /// An axonic_content.
    pub content: i32,
    /// An axonic_dtype, for AXONIC_CONTENT_TENSOR only.
    pub dtype: i32,
    /// `ndim` lengths, for AXONIC_CONTENT_TENSOR only.
    pub shape: *const usize,
    pub ndim: usize,
    /// `attribute_count` attributes. When there are any, the missing ones of specversion, id, source,
    /// type and time are filled in.
    pub attributes: *const axonic_attribute,
    pub attribute_count: usize,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_payload {
    const INIT: Self = axonic_payload {
        size: size_of::<Self>(),
        data: null(),
        data_size: 0,
        content: axonic_content::AXONIC_CONTENT_RAW as i32,
        dtype: axonic_dtype::AXONIC_DTYPE_NONE as i32,
        shape: null(),
        ndim: 0,
        attributes: null(),
        attribute_count: 0,
    };
    const NAME: &'static str = "axonic_payload";
}

/// What keeps a message that was borrowed, or that is the caller's, in place.
pub struct axonic_sample(());

impl Noun for axonic_sample {
    const NAME: &'static str = "axonic_sample";
    type State = held::Borrowed;
}

/// A message that arrived. Filled by axonic_subscriber_receive() and axonic_subscriber_borrow(); all
/// its pointers stay valid until the next call on the subscriber, or, when it was borrowed, until
/// axonic_subscriber_release(). In an axonic_delivery, an axonic_peeked and as the result of a ticket it
/// has the queue's name as its topic, and 0 as `missed`, `sequence` and `publisher`. Of a channel or a call it has
/// no topic, and is the caller's, for any thread, until axonic_message_release().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_message {
    /// Ends with a NUL.
    pub topic: *const c_char,
    pub topic_size: usize,
    /// Aligned to 64 bytes. Not to be written to.
    pub data: *const c_void,
    /// Bytes at `data`.
    pub size: usize,
    /// An axonic_content.
    pub content: i32,
    /// An axonic_dtype.
    pub dtype: i32,
    pub ndim: usize,
    pub shape: [usize; AXONIC_MAX_DIMENSIONS],
    /// Messages of this publisher that were overwritten unread just before this one.
    pub missed: u64,
    /// Counts this publisher's messages.
    pub sequence: u64,
    /// The publisher's id.
    pub publisher: u64,
    /// `attribute_count` attributes in the order they were sent; see axonic_message_attribute().
    pub attributes: *const axonic_attribute,
    pub attribute_count: usize,
    /// NULL unless it is to be released.
    pub sample: *mut axonic_sample,
    /// `descriptor_count` open descriptors that were passed with it; its release closes them, so dup() what is to stay.
    pub descriptors: *const c_int,
    pub descriptor_count: usize,
    /// 0; for later versions.
    pub reserved: [u64; 2],
}

impl axonic_message {
    pub(crate) const EMPTY: axonic_message = axonic_message {
        topic: c"".as_ptr(),
        topic_size: 0,
        data: null(),
        size: 0,
        content: 0,
        dtype: 0,
        ndim: 0,
        shape: [0; AXONIC_MAX_DIMENSIONS],
        missed: 0,
        sequence: 0,
        publisher: 0,
        attributes: null(),
        attribute_count: 0,
        sample: null_mut(),
        descriptors: null(),
        descriptor_count: 0,
        reserved: [0; 2],
    };
}

/// A payload read from C, in the core's types.
pub(crate) struct Sent<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) content: Content,
    pub(crate) tensor: Option<Tensor>,
    pub(crate) attributes: Option<Attributes>,
}

impl<'a> Sent<'a> {
    /// # Safety
    /// The header's rules for pointers, and they hold for `'a`.
    pub(crate) unsafe fn read(payload: *const axonic_payload) -> Outcome<Sent<'a>> {
        // SAFETY: the caller's promise.
        let given = unsafe { args::versioned(payload)? };
        let content = content(given.content)?;
        // SAFETY: the caller's promise.
        let (data, tensor, attributes) = unsafe {
            (args::bytes(given.data, given.data_size)?, tensor(&given, content)?, attributes(&given)?)
        };
        Ok(Sent { data, content, tensor, attributes })
    }

    /// As `read`; NULL is nothing.
    ///
    /// # Safety
    /// As `read`.
    pub(crate) unsafe fn optional(payload: *const axonic_payload) -> Outcome<Option<Sent<'a>>> {
        // SAFETY: the caller's promise.
        (!payload.is_null()).then(|| unsafe { Sent::read(payload) }).transpose()
    }

    /// # Safety
    /// The header's rules for pointers, and they hold for `'a`.
    pub(crate) unsafe fn read_many(payloads: *const axonic_payload, count: usize) -> Outcome<Vec<Sent<'a>>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if payloads.is_null() || !payloads.is_aligned() {
            return Err(Failure::argument("payloads is NULL or misaligned"));
        }
        // The caller's struct may be older or newer than ours: its own size is the distance between them.
        // SAFETY: at least one readable payload by the caller's promise.
        let stride = unsafe { payloads.cast::<usize>().read() };
        if !stride.is_multiple_of(align_of::<axonic_payload>()) {
            return Err(Failure::argument(format!("the first payload says its size is {stride}")));
        }
        let mut sent = Vec::new();
        for index in 0..count {
            // SAFETY: inside the caller's array of `count` structs of that size.
            let payload = unsafe { payloads.cast::<u8>().add(index * stride).cast::<axonic_payload>() };
            // SAFETY: as above, and aligned because the stride is.
            if unsafe { payload.cast::<usize>().read() } != stride {
                let message = "the payloads say different sizes; begin each with AXONIC_PAYLOAD_INIT";
                return Err(Failure::argument(message));
            }
            // SAFETY: the caller's promise.
            sent.push(unsafe { Sent::read(payload)? });
        }
        Ok(sent)
    }

    pub(crate) fn payload(&self) -> Payload<'_> {
        Payload {
            data: self.data,
            content: self.content,
            tensor: self.tensor.as_ref(),
            attributes: self.attributes.as_ref(),
        }
    }
}

fn content(given: i32) -> Outcome<Content> {
    use axonic_content::*;
    let choices = [
        (AXONIC_CONTENT_RAW as i32, Content::Raw),
        (AXONIC_CONTENT_JSON as i32, Content::Json),
        (AXONIC_CONTENT_MESSAGEPACK as i32, Content::MessagePack),
        (AXONIC_CONTENT_TENSOR as i32, Content::Tensor),
    ];
    args::choice(given, &choices, "axonic_content")
}

/// The core's type of each number of `axonic_dtype`.
const DTYPES: [(i32, Dtype); 15] = {
    use axonic_dtype::*;
    [
        (AXONIC_DTYPE_BOOL as i32, Dtype::Bool),
        (AXONIC_DTYPE_I8 as i32, Dtype::I8),
        (AXONIC_DTYPE_U8 as i32, Dtype::U8),
        (AXONIC_DTYPE_I16 as i32, Dtype::I16),
        (AXONIC_DTYPE_U16 as i32, Dtype::U16),
        (AXONIC_DTYPE_I32 as i32, Dtype::I32),
        (AXONIC_DTYPE_U32 as i32, Dtype::U32),
        (AXONIC_DTYPE_I64 as i32, Dtype::I64),
        (AXONIC_DTYPE_U64 as i32, Dtype::U64),
        (AXONIC_DTYPE_F16 as i32, Dtype::F16),
        (AXONIC_DTYPE_BF16 as i32, Dtype::BF16),
        (AXONIC_DTYPE_F32 as i32, Dtype::F32),
        (AXONIC_DTYPE_F64 as i32, Dtype::F64),
        (AXONIC_DTYPE_C64 as i32, Dtype::C64),
        (AXONIC_DTYPE_C128 as i32, Dtype::C128),
    ]
};

/// # Safety
/// The header's rules for `shape`.
unsafe fn tensor(given: &axonic_payload, content: Content) -> Outcome<Option<Tensor>> {
    if content != Content::Tensor {
        return match (given.dtype, given.ndim) {
            (0, 0) => Ok(None),
            _ => Err(Failure::argument("dtype and shape go with AXONIC_CONTENT_TENSOR only")),
        };
    }
    let dtype = args::choice(given.dtype, &DTYPES, "axonic_dtype")?;
    if given.ndim > AXONIC_MAX_DIMENSIONS {
        let message = format!("a tensor of {} dimensions; the most is {AXONIC_MAX_DIMENSIONS}", given.ndim);
        return Err(Failure::argument(message));
    }
    // SAFETY: the caller's promise.
    let shape = unsafe { args::items(given.shape, given.ndim, "shape")? };
    Ok(Some(Tensor { dtype, shape: shape.to_vec() }))
}

/// # Safety
/// The header's rules for `attributes` and their strings.
unsafe fn attributes(given: &axonic_payload) -> Outcome<Option<Attributes>> {
    if given.attribute_count == 0 {
        return Ok(None);
    }
    let mut read = Attributes::new();
    // SAFETY: the caller's promise.
    for attribute in unsafe { args::items(given.attributes, given.attribute_count, "attributes")? } {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe {
            (args::text(attribute.name, "attribute name")?, args::text(attribute.value, "attribute value")?)
        };
        read.insert(name, value)?;
    }
    Ok(Some(read))
}

/// What a message's struct points at besides its data; kept by the subscriber or the borrowed sample.
#[derive(Default)]
pub(crate) struct Strings {
    topic: Vec<u8>,
    texts: Vec<CString>,
    attributes: Vec<axonic_attribute>,
}

impl Strings {
    pub(crate) fn set_topic(&mut self, topic: &str) {
        // Most subscribers hear one topic: then nothing is copied.
        if self.topic.strip_suffix(b"\0") != Some(topic.as_bytes()) {
            self.topic.clear();
            self.topic.extend_from_slice(topic.as_bytes());
            self.topic.push(0);
        }
    }

    pub(crate) fn set_attributes(&mut self, attributes: &Attributes) {
        self.attributes.clear();
        self.texts.clear();
        if attributes.is_empty() {
            return;
        }
        for (name, value) in attributes.iter() {
            self.texts.extend([args::c_string(name), args::c_string(value)]);
        }
        let pairs = self.texts.chunks_exact(2);
        self.attributes
            .extend(pairs.map(|pair| axonic_attribute { name: pair[0].as_ptr(), value: pair[1].as_ptr() }));
    }
}

/// Fills the struct from a `Message` or a `Sample`, which have the same accessors but no common type.
macro_rules! describe {
    ($message:expr, $strings:expr) => {{
        let (message, strings) = (&$message, &mut $strings);
        strings.set_topic(message.topic());
        strings.set_attributes(&message.attributes()?);
        let tensor = message.tensor();
        let filled = $crate::message::axonic_message::new(message.data(), message.content(), tensor, strings);
        $crate::message::axonic_message {
            missed: message.missed(),
            sequence: message.sequence(),
            publisher: message.publisher(),
            ..filled
        }
    }};
}
pub(crate) use describe;

impl axonic_message {
    /// Of these bytes, with the strings of `strings`.
    pub(crate) fn new(
        data: &[u8],
        content: Content,
        tensor: Option<&Tensor>,
        strings: &Strings,
    ) -> axonic_message {
        let (data, size) = (data.as_ptr().cast(), data.len());
        let mut filled = axonic_message { data, size, content: content as i32, ..axonic_message::EMPTY };
        filled.describe_tensor(tensor);
        filled.point_at(strings);
        filled
    }

    fn describe_tensor(&mut self, tensor: Option<&Tensor>) {
        if let Some(tensor) = tensor {
            let ndim = tensor.shape.len().min(AXONIC_MAX_DIMENSIONS);
            self.dtype = tensor.dtype as i32;
            self.ndim = ndim;
            self.shape[..ndim].copy_from_slice(&tensor.shape[..ndim]);
        }
    }

    fn point_at(&mut self, strings: &Strings) {
        self.topic = strings.topic.as_ptr().cast();
        self.topic_size = strings.topic.len() - 1;
        if !strings.attributes.is_empty() {
            self.attributes = strings.attributes.as_ptr();
            self.attribute_count = strings.attributes.len();
        }
    }
}

/// The value of an attribute of a message, or NULL when it has none of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_message_attribute(
    message: *const axonic_message,
    name: *const c_char,
) -> *const c_char {
    enter_or(null(), || {
        // SAFETY: NULL is answered; else the header's rules for pointers.
        let message = unsafe { message.as_ref() }.ok_or_else(|| Failure::argument("the message is NULL"))?;
        // SAFETY: the header's rules for strings, and the struct as the library filled it.
        let (attributes, name) = unsafe {
            (
                args::items(message.attributes, message.attribute_count, "attributes")?,
                args::text(name, "attribute name")?,
            )
        };
        for attribute in attributes {
            // SAFETY: the library filled it.
            if unsafe { args::text(attribute.name, "attribute name")? } == name {
                return Ok(attribute.value);
            }
        }
        Ok(null())
    })
}

/// Bytes of one element of an axonic_dtype; 0 for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_dtype_size(dtype: i32) -> usize {
    DTYPES.iter().find(|(number, _)| *number == dtype).map_or(0, |(_, dtype)| dtype.size())
}

/// The name of an axonic_dtype as numpy spells it, "float32"; NULL for a number that is none. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn axonic_dtype_name(dtype: i32) -> *const c_char {
    static NAMES: OnceLock<Vec<(i32, CString)>> = OnceLock::new();
    enter_or(null(), || {
        let names = NAMES.get_or_init(|| {
            DTYPES.iter().map(|(number, dtype)| (*number, args::c_string(dtype.name()))).collect()
        });
        Ok(names.iter().find(|(number, _)| *number == dtype).map_or(null(), |(_, name)| name.as_ptr()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_header_are_the_numbers_of_the_core() {
        for (number, dtype) in DTYPES {
            assert_eq!(number, dtype as i32);
        }
        for number in 0..4 {
            assert_eq!(content(number).unwrap() as i32, number);
        }
        assert!(content(4).is_err() && content(-1).is_err());
    }
}
