//! Turning what the caller gives into what travels.

use super::Publisher;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::record::{FLAG_ATTRIBUTES, FLAG_SLAB, FLAG_TENSOR, Shape};
use crate::mechanisms::topic::INLINE_MAX;
use crate::mechanisms::topic::segment::DESCRIPTOR;
use crate::sys::clock::unix_millis;
use crate::value::{Attributes, Content, Tensor, encode_meta};

/// A message encoded for the ring.
pub(super) struct Encoded<'a> {
    pub(super) data: &'a [u8],
    pub(super) content: Content,
    pub(super) meta: Vec<u8>,
    pub(super) flags: u8,
}

impl Encoded<'_> {
    pub(super) fn shape(&self, length: usize) -> Shape {
        Shape::new(length, self.meta.len() as u16, self.content as u8, self.flags)
    }

    pub(super) fn slab_shape(&self) -> Shape {
        Shape::new(DESCRIPTOR, self.meta.len() as u16, self.content as u8, self.flags | FLAG_SLAB)
    }

    pub(super) fn any_shape(&self) -> Shape {
        if self.data.len() <= INLINE_MAX { self.shape(self.data.len()) } else { self.slab_shape() }
    }
}

impl Publisher {
    pub(super) fn check_size(&self, length: usize) -> Result<()> {
        if length > self.options.max_bytes.min(1 << 60) && length > INLINE_MAX {
            let text = format!(
                "topic '{}': a message of {length} bytes is over max_bytes, {}; open the publisher with a larger max_bytes",
                self.topic, self.options.max_bytes
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(())
    }

    fn check_schema(&self, content: Content, data: &[u8]) -> Result<()> {
        let Some(schema) = &self.options.schema else { return Ok(()) };
        schema.check(content, data).map_err(|e| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("topic '{}': {e}; nothing was published", self.topic),
            )
        })
    }

    pub(super) fn encode<'a>(
        &self,
        data: &'a [u8],
        content: Content,
        tensor: Option<&Tensor>,
        attributes: Option<&Attributes>,
    ) -> Result<Encoded<'a>> {
        self.check_size(data.len())?;
        self.check_schema(content, data)?;
        if tensor.is_none() && attributes.is_none() && content != Content::Tensor {
            return Ok(Encoded { data, content, meta: Vec::new(), flags: 0 });
        }
        let attributes = attributes.filter(|a| !a.is_empty()).map(|a| self.complete(a));
        let meta = encode_meta(content, tensor, attributes.as_ref(), data.len())
            .map_err(|e| e.of("topic", &self.topic))?;
        let flags = if tensor.is_some() { FLAG_TENSOR } else { 0 }
            | if attributes.is_some() { FLAG_ATTRIBUTES } else { 0 };
        Ok(Encoded { data, content, meta, flags })
    }

    /// What CloudEvents 1.0 asks of an event, where the caller left it out.
    pub(super) fn complete(&self, attributes: &Attributes) -> Attributes {
        let (id, seq) = (self.shared.id, self.writer.seq());
        attributes.complete(&[
            ("specversion", &|| "1.0".into()),
            ("id", &|| format!("{id}-{seq}")),
            ("source", &|| format!("axonic://{}/{}", self.domain.name(), self.topic)),
            ("type", &|| self.topic.to_string()),
            ("time", &|| rfc3339(unix_millis())),
        ])
    }
}

/// Milliseconds since 1970 as RFC 3339 (days to civil date: H. Hinnant's `civil_from_days`).
fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::rfc3339(951_782_400_001), "2000-02-29T00:00:00.001Z");
        assert_eq!(super::rfc3339(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
    }
}
