//! A walk over the records of an uncompressed body, without allocation.
use super::{BatchHeader, RecordError};

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// Timestamp less the batch's base timestamp, milliseconds.
    pub timestamp_delta: i64,
    /// `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The raw header section, count included; see [`Record::headers`].
    pub raw_headers: &'a [u8],
}

/// One record header. Keys may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention, not checked.
    pub key: &'a [u8],
    /// May be null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// The headers in order, duplicates kept.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        std::iter::empty()
    }
}

/// Walks the records of an uncompressed `body` (what follows the header, or what `decompress`
/// returned). Ends after the first error.
pub fn records<'a>(
    _header: &BatchHeader,
    _body: &'a [u8],
) -> impl Iterator<Item = Result<Record<'a>, RecordError>> + use<'a> {
    std::iter::empty()
}

/// Checks a produced batch with an uncompressed body by walking it: lengths, record count, offset
/// deltas 0, 1, 2 …, `last_offset_delta`, and the header's max timestamp against the records'.
pub fn check_deltas(_header: &BatchHeader, _batch: &[u8]) -> Result<(), RecordError> {
    todo!()
}
