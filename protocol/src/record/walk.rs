//! A walk over the records of an uncompressed body, without allocation.
use super::varint::{read_i32, read_i64};
use super::{BatchHeader, Compression, HEADER_LEN, RecordError, TimestampType};

const LEFT_OVER: &str = "bytes are left over after the last record";

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
        let raw = self.raw_headers;
        let (mut left, mut at) = read_i32(raw, 0).unwrap_or_default();
        // The walk that made this record checked the section: a short read here ends the loop only
        // for a record that somebody else put together.
        std::iter::from_fn(move || {
            if left <= 0 {
                return None;
            }
            left -= 1;
            let (header, next) = read_header(raw, at)?;
            at = next;
            Some(header)
        })
    }
}

/// Walks the records of an uncompressed `body` (what follows the header, or what `decompress`
/// returned). Ends after the first error.
pub fn records<'a>(
    header: &BatchHeader,
    body: &'a [u8],
) -> impl Iterator<Item = Result<Record<'a>, RecordError>> + use<'a> {
    Walk {
        body,
        at: 0,
        index: 0,
        count: header.records_count.max(0) as usize,
    }
}

/// The state of a walk; fused, because an error moves `index` past `count`.
struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    index: usize,
    count: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index < self.count {
            return match read_record(self.body, self.at) {
                Ok((record, next)) => {
                    self.at = next;
                    self.index += 1;
                    Some(Ok(record))
                }
                Err(reason) => Some(self.fail(reason)),
            };
        }
        if self.index == self.count && self.at < self.body.len() {
            return Some(self.fail(LEFT_OVER));
        }
        None
    }
}

impl<'a> Walk<'a> {
    #[cold]
    fn fail(&mut self, reason: &'static str) -> Result<Record<'a>, RecordError> {
        let index = self.index;
        self.index = usize::MAX;
        Err(RecordError::BadRecord { index, reason })
    }
}

/// The record at `at` and the position after it.
#[inline]
fn read_record(body: &[u8], at: usize) -> Result<(Record<'_>, usize), &'static str> {
    let (length, start) = read_i32(body, at).ok_or("the length is cut off")?;
    let length = usize::try_from(length).map_err(|_| "the length is negative")?;
    // From here on nothing can read past this record's own end.
    let record = body.get(start..).and_then(|rest| rest.get(..length));
    let record = record.ok_or("the length reaches past the body")?;

    let at = 1; // after the attributes, of which no bit is in use
    let (timestamp_delta, at) = read_i64(record, at).ok_or("the timestamp delta is cut off")?;
    let (offset_delta, at) = read_i32(record, at).ok_or("the offset delta is cut off")?;
    let (key, at) = read_nullable(record, at).ok_or("the key reaches past the record")?;
    let (value, at) = read_nullable(record, at).ok_or("the value reaches past the record")?;
    let raw_headers = record.get(at..).unwrap_or_default();
    if raw_headers != [0] {
        check_headers(raw_headers)?;
    }
    Ok((
        Record {
            offset_delta,
            timestamp_delta,
            key,
            value,
            raw_headers,
        },
        start + length,
    ))
}

/// Bytes with a length in front, -1 being null, and the position after them. `None` if they end
/// before their announced length or it is below -1.
#[inline]
fn read_nullable(bytes: &[u8], at: usize) -> Option<(Option<&[u8]>, usize)> {
    let (length, start) = read_i32(bytes, at)?;
    if length == -1 {
        return Some((None, start));
    }
    let length = usize::try_from(length).ok()?;
    let value = bytes.get(start..)?.get(..length)?;
    Some((Some(value), start + length))
}

#[inline]
fn read_header(bytes: &[u8], at: usize) -> Option<(Header<'_>, usize)> {
    let (key, at) = read_nullable(bytes, at)?;
    let (value, at) = read_nullable(bytes, at)?;
    Some((Header { key: key?, value }, at))
}

#[inline(never)]
fn check_headers(raw: &[u8]) -> Result<(), &'static str> {
    let (count, mut at) = read_i32(raw, 0).ok_or("the headers count is cut off")?;
    if count < 0 {
        return Err("the headers count is negative");
    }
    for _ in 0..count {
        (_, at) = read_header(raw, at).ok_or("a header reaches past the record")?;
    }
    if at != raw.len() {
        return Err("bytes are left over after the headers");
    }
    Ok(())
}

/// Checks a produced batch (a whole, verified one) by walking it: lengths, record count, offset
/// deltas 0, 1, 2 …, `last_offset_delta`, and the header's max timestamp against the records'.
///
/// A compressed body is not opened: only the header's own fields are checked then. To check its
/// records too, decompress it and call [`check_records`].
pub fn check_deltas(header: &BatchHeader, batch: &[u8]) -> Result<(), RecordError> {
    if header.attributes.compression()? != Compression::None {
        return check_count(header);
    }
    let needed = header.size();
    let body = batch
        .get(HEADER_LEN..needed)
        .ok_or(RecordError::Truncated {
            needed,
            left: batch.len(),
        })?;
    check_records(header, body)
}

/// What [`check_deltas`] checks, on a body that is already uncompressed.
pub fn check_records(header: &BatchHeader, body: &[u8]) -> Result<(), RecordError> {
    check_count(header)?;
    let (mut at, mut index, mut max_delta) = (0, 0, i64::MIN);
    while index < header.records_count {
        let bad = |reason| {
            Err(RecordError::BadRecord {
                index: index as usize,
                reason,
            })
        };
        let (record, next) = match read_record(body, at) {
            Ok(read) => read,
            Err(reason) => return bad(reason),
        };
        if record.offset_delta != index {
            return bad("offset deltas are not 0, 1, 2 …");
        }
        max_delta = max_delta.max(record.timestamp_delta);
        (at, index) = (next, index + 1);
    }
    if at != body.len() {
        return Err(RecordError::BadRecord {
            index: index as usize,
            reason: LEFT_OVER,
        });
    }
    // With append time, the broker's stamp is in the header and the records keep the producer's.
    if header.attributes.timestamp_type() == TimestampType::CreateTime {
        let actual = header.base_timestamp.saturating_add(max_delta);
        if actual != header.max_timestamp {
            return Err(RecordError::BadMaxTimestamp {
                stored: header.max_timestamp,
                actual,
            });
        }
    }
    Ok(())
}

fn check_count(header: &BatchHeader) -> Result<(), RecordError> {
    if header.records_count <= 0 {
        return Err(RecordError::BadHeader(
            "a produced batch has at least one record",
        ));
    }
    if header.last_offset_delta != header.records_count - 1 {
        return Err(RecordError::BadHeader(
            "last offset delta and records count disagree",
        ));
    }
    Ok(())
}
