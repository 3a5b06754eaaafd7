//! A cursor over untrusted bytes: every step is checked, nothing is allocated.
use super::FrameError;

/// Bytes and how far they have been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `length` bytes; `what` names them in the error.
    #[inline]
    pub(crate) fn take(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], FrameError> {
        if length > self.left() {
            return Err(FrameError::Oversized {
                what,
                claimed: length as i64,
                left: self.left(),
            });
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let rest = &self.bytes[self.at..];
        let array = *rest.first_chunk().ok_or(FrameError::Truncated(what))?;
        self.at += N;
        Ok(array)
    }

    #[inline]
    pub(crate) fn i8(&mut self, what: &'static str) -> Result<i8, FrameError> {
        self.array(what).map(i8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i16(&mut self, what: &'static str) -> Result<i16, FrameError> {
        self.array(what).map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, FrameError> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// An unsigned varint of at most 32 bits in at most five bytes; a longer one is an error, as it
    /// is in Kafka's `ByteUtils`.
    #[inline]
    pub(crate) fn unsigned_varint(&mut self, what: &'static str) -> Result<u32, FrameError> {
        let mut value = 0;
        for i in 0..5 {
            let byte = *self.bytes.get(self.at).ok_or(FrameError::Truncated(what))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| self.too_long(what, value));
            }
        }
        Err(self.too_long(what, value))
    }

    #[cold]
    fn too_long(&self, what: &'static str, value: u64) -> FrameError {
        FrameError::Oversized {
            what,
            claimed: value as i64,
            left: self.left(),
        }
    }

    /// Moves past a section of tagged fields of which none is known (KIP-482).
    pub(crate) fn skip_tagged_fields(&mut self, what: &'static str) -> Result<(), FrameError> {
        for _ in 0..self.unsigned_varint(what)? {
            self.unsigned_varint(what)?;
            let size = self.unsigned_varint(what)?;
            self.take(size as usize, what)?;
        }
        Ok(())
    }
}
