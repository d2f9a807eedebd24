//! What a slot holds, in one word: `length 32 | metadata length 13 | content 4 | priority 3 | flags`.

use crate::value::Content;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape(pub u64);

/// The metadata begins with a tensor's type and shape.
pub const TENSOR: u64 = 1 << 52;
/// The metadata ends with attributes.
pub const ATTRIBUTES: u64 = 1 << 53;

/// Its producer waits for what becomes of it.
pub const TICKET: u64 = 1 << 54;

/// It had not come into line when it was put, or when its journal was read: its slot says when that was.
pub const LATER: u64 = 1 << 55;

impl Shape {
    pub fn new(length: usize, meta: usize, content: Content, priority: u8, flags: u64) -> Shape {
        let (content, priority) = (content as u64, u64::from(priority & 7));
        Shape(length as u64 | (meta as u64) << 32 | content << 45 | priority << 49 | flags)
    }

    /// Bytes of the payload.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.0 as u32 as usize
    }

    /// Bytes of the metadata, which follow the payload.
    #[inline(always)]
    pub fn meta(self) -> usize {
        (self.0 >> 32) as usize & 0x1fff
    }

    #[inline(always)]
    pub fn bytes(self) -> usize {
        self.length() + self.meta()
    }

    #[inline(always)]
    pub fn content(self) -> Option<Content> {
        Content::from_number((self.0 >> 45) as u8 & 15)
    }

    #[inline(always)]
    pub fn priority(self) -> u8 {
        (self.0 >> 49) as u8 & 7
    }

    #[inline(always)]
    pub fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}
