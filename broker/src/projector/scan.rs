//! Reads records that were read or written before: a start's way through a log.
use std::ops::Range;

use protocol::record::{self, BatchHeader, Record, RecordError};
use storage::ReadError;

use crate::partition::Partition;

/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;
/// The most that a batch may decompress to.
pub const DECOMPRESSED_BYTES: usize = 64 << 20;

/// Why a log could not be read to where it has to be.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The log refused it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A bad batch.
    #[error("at offset {offset}: {error}")]
    Record {
        /// Where it was looked for.
        offset: i64,
        /// What is wrong.
        error: RecordError,
    },
}

/// Hands every record from `from` (or the log start) up to `to` to `each`, with its offset; control
/// records are left out.
pub fn scan(
    partition: &Partition,
    from: i64,
    to: i64,
    mut each: impl FnMut(&BatchHeader, &Record<'_>, i64),
) -> Result<(), ScanError> {
    walk(partition, from, to, |header, batch, wanted| {
        one(header, batch, wanted, &mut each)
    })
}

/// As [`scan`], of a topic that clients write, as it was when it was read first: without what was
/// aborted, and of each batch as far as it can be read.
pub fn scan_source(
    partition: &Partition,
    from: i64,
    to: i64,
    mut each: impl FnMut(&BatchHeader, &Record<'_>, i64),
) -> Result<(), ScanError> {
    walk(partition, from, to, |header, batch, wanted| {
        if header.attributes.is_transactional() {
            let (from, to) = (header.base_offset, header.last_offset() + 1);
            if partition
                .log
                .aborted(from, to)
                .iter()
                .any(|it| it.has(header))
            {
                return Ok(());
            }
        }
        // What cannot be read went to the dead letters.
        let _ = one(header, batch, wanted, &mut each);
        Ok(())
    })
}

fn walk(
    partition: &Partition,
    from: i64,
    to: i64,
    mut each: impl FnMut(&BatchHeader, &[u8], Range<i64>) -> Result<(), RecordError>,
) -> Result<(), ScanError> {
    let mut offset = from.max(partition.log.start_offset());
    while offset < to {
        let mut read = partition.log.read(offset, to, READ_BYTES, true)?;
        let straddles = read.records.is_empty();
        if straddles {
            // Compaction removed what was there, or a batch reaches past the end.
            read = partition.log.read(offset, i64::MAX, 1, true)?;
        }
        let mut rest = &read.records[..];
        while !rest.is_empty() {
            let failed = |error| ScanError::Record { offset, error };
            let header = record::verify(rest).map_err(failed)?;
            let (batch, more) = rest.split_at(header.size());
            each(&header, batch, offset..to).map_err(failed)?;
            offset = header.last_offset() + 1;
            rest = more;
        }
        if straddles {
            break;
        }
    }
    Ok(())
}

fn one(
    header: &BatchHeader,
    batch: &[u8],
    wanted: Range<i64>,
    each: &mut impl FnMut(&BatchHeader, &Record<'_>, i64),
) -> Result<(), RecordError> {
    if header.attributes.is_control() {
        return Ok(());
    }
    let body = record::decompress(header, batch, DECOMPRESSED_BYTES)?;
    for record in placed(header, &body) {
        let (offset, record) = record?;
        if wanted.contains(&offset) {
            each(header, &record, offset);
        }
    }
    Ok(())
}

/// The records of a batch with their offsets, which rise and end where the batch does: a compressed
/// body is its producer's, and nobody looked into it when it was appended.
pub fn placed<'a>(
    header: &BatchHeader,
    body: &'a [u8],
) -> impl Iterator<Item = Result<(i64, Record<'a>), RecordError>> {
    let (base_offset, last_delta) = (header.base_offset, header.last_offset_delta);
    let mut least = 0;
    record::records(header, body)
        .enumerate()
        .map(move |(index, record)| {
            let record = record?;
            let delta = record.offset_delta;
            if delta < least || delta > last_delta {
                let reason = "its offset is not in order";
                return Err(RecordError::BadRecord { index, reason });
            }
            least = delta.saturating_add(1);
            Ok((base_offset + i64::from(delta), record))
        })
}
