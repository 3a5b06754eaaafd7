//! Writes fields, flexible or not.
use bytes::Bytes;

/// Collects one key or value, its version first.
pub struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    /// Begins with the version, which is not a flexible one.
    pub fn new(version: i16) -> Self {
        Self {
            bytes: version.to_be_bytes().to_vec(),
            flexible: false,
        }
    }

    /// Begins with the version, which is a flexible one.
    pub fn flexible(version: i16) -> Self {
        Self {
            flexible: true,
            ..Self::new(version)
        }
    }

    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Requests carry no longer strings than this format does, save for the tail of a flexible
    /// request's string, which is cut at a character.
    pub fn string(&mut self, value: &str) {
        let mut length = value.len().min(i16::MAX as usize);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        let value = &value[..length];
        if self.flexible {
            self.varint(length as u32 + 1);
        } else {
            self.i16(length as i16);
        }
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// No array at all.
    pub fn null(&mut self) {
        if self.flexible {
            self.varint(0);
        } else {
            self.i32(-1);
        }
    }

    /// How many elements follow.
    pub fn count(&mut self, count: usize) {
        if self.flexible {
            self.varint(count as u32 + 1);
        } else {
            self.i32(count as i32);
        }
    }

    /// The tagged fields that end a flexible structure, by rising tag.
    pub fn tagged(&mut self, fields: &[(u32, &[u8])]) {
        self.varint(fields.len() as u32);
        for (tag, field) in fields {
            self.varint(*tag);
            self.varint(field.len() as u32);
            self.bytes.extend_from_slice(field);
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None if self.flexible => self.varint(0),
            None => self.i16(-1),
        }
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.bytes.extend_from_slice(value);
    }

    pub fn finish(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}
