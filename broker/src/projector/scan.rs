//! Reads records that were read or written before: a start's way through a log.
use protocol::record::{self, BatchHeader, Record, RecordError};
use storage::ReadError;

use crate::partition::Partition;

/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;
/// The most that a batch may decompress to.
const DECOMPRESSED_BYTES: usize = 64 << 20;

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
    let mut offset = from.max(partition.log.start_offset());
    while offset < to {
        let read = partition.log.read(offset, to, READ_BYTES, true)?;
        let mut rest = &read.records[..];
        if rest.is_empty() {
            // Compaction removed what was there, or a batch reaches past the end.
            return straddling(partition, offset, to, &mut each);
        }
        while !rest.is_empty() {
            let failed = |error| ScanError::Record { offset, error };
            let header = record::verify(rest).map_err(failed)?;
            let (batch, more) = rest.split_at(header.size());
            one(&header, batch, offset..to, &mut each).map_err(failed)?;
            offset = header.last_offset() + 1;
            rest = more;
        }
    }
    Ok(())
}

/// The part below `to` of a batch that goes on above it.
fn straddling(
    partition: &Partition,
    offset: i64,
    to: i64,
    each: &mut impl FnMut(&BatchHeader, &Record<'_>, i64),
) -> Result<(), ScanError> {
    let read = partition.log.read(offset, i64::MAX, 1, true)?;
    if read.records.is_empty() {
        return Ok(());
    }
    let failed = |error| ScanError::Record { offset, error };
    let header = record::verify(&read.records).map_err(failed)?;
    one(&header, &read.records, offset..to, each).map_err(failed)
}

fn one(
    header: &BatchHeader,
    batch: &[u8],
    wanted: std::ops::Range<i64>,
    each: &mut impl FnMut(&BatchHeader, &Record<'_>, i64),
) -> Result<(), RecordError> {
    if header.attributes.is_control() {
        return Ok(());
    }
    let body = record::decompress(header, batch, DECOMPRESSED_BYTES)?;
    for record in record::records(header, &body) {
        let record = record?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if wanted.contains(&offset) {
            each(header, &record, offset);
        }
    }
    Ok(())
}
