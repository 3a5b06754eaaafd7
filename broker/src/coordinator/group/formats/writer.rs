//! Writes the inflexible versions of the formats.
use bytes::Bytes;

/// Collects one key or value, its version first.
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins with the version.
    pub fn new(version: i16) -> Self {
        Self(version.to_be_bytes().to_vec())
    }

    pub fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Requests carry no longer strings than this format does, save for the tail of a flexible
    /// request's string, which is cut at a character.
    pub fn string(&mut self, value: &str) {
        let mut length = value.len().min(i16::MAX as usize);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        let value = &value[..length];
        self.0
            .extend_from_slice(&(value.len() as i16).to_be_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }

    pub fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None => self.0.extend_from_slice(&(-1i16).to_be_bytes()),
        }
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.i32(value.len() as i32);
        self.0.extend_from_slice(value);
    }

    pub fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}
