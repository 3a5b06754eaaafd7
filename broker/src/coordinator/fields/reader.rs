//! Reads fields, flexible or not. Nothing is allocated for a length before its bytes are there.
use super::FormatError;

/// A place in a key or value.
pub struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self {
            rest: bytes,
            flexible,
        }
    }

    /// From here on lengths are varints.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(FormatError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(FormatError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn i8(&mut self) -> Result<i8, FormatError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16, FormatError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, FormatError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, FormatError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn varint(&mut self) -> Result<u32, FormatError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FormatError::Short)
    }

    /// A length; `None` is null. `wide` says that it takes four bytes if it is not a varint.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, FormatError> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        match length {
            -1 => Ok(None),
            length => Ok(Some(
                usize::try_from(length).map_err(|_| FormatError::Short)?,
            )),
        }
    }

    pub fn nullable_string(&mut self) -> Result<Option<String>, FormatError> {
        let Some(length) = self.length(false)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    pub fn string(&mut self) -> Result<String, FormatError> {
        self.nullable_string()?.ok_or(FormatError::Null)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.length(true)?.ok_or(FormatError::Null)?;
        self.take(length)
    }

    /// How many elements follow; they are read one by one, and end with the bytes.
    pub fn count(&mut self) -> Result<usize, FormatError> {
        self.length(true)?.ok_or(FormatError::Null)
    }

    /// How many elements follow; `None` is null.
    pub fn nullable_count(&mut self) -> Result<Option<usize>, FormatError> {
        self.length(true)
    }

    /// Skips the tagged fields that end a flexible structure.
    pub fn tags(&mut self) -> Result<(), FormatError> {
        self.tagged(|_, _| Ok(()))
    }

    /// Hands the tagged fields that end a flexible structure to `each`, with their tags.
    pub fn tagged(
        &mut self,
        mut each: impl FnMut(u32, &mut Reader<'a>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()?;
            each(tag, &mut Reader::new(self.take(length as usize)?, true))?;
        }
        Ok(())
    }
}
