//! Records of a partition, read as a fetch reads them, for HTTP clients.
use std::sync::Arc;

use protocol::record::{Record, RecordError, TimestampType, decompress, records, verify};
use storage::ReadError;

use crate::partition::Partition;

/// Bytes of batches in one read; a larger batch comes alone.
const READ_BYTES: usize = 256 << 10;
/// Bytes of one batch when uncompressed.
const BATCH_BYTES: usize = 64 << 20;

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("damaged batch: {0}")]
    Record(#[from] RecordError),
    #[error("the process ends")]
    Ending,
}

/// A record with its place and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// Offset.
    pub(super) offset: i64,
    /// Epoch ms.
    pub(super) timestamp: i64,
    /// Key, value and headers.
    pub(super) record: Record<'a>,
}

/// One read from `offset` on, below `up_to` and the high watermark: what `take` makes of the
/// records, and the offset to go on with. Runs on a thread that may block if it is likely to.
pub(super) async fn read<T: Send + 'static>(
    partition: &Arc<Partition>,
    offset: i64,
    up_to: i64,
    mut taken: T,
    take: fn(&mut T, Found<'_>),
) -> Result<(T, i64), ReadingError> {
    let there = Arc::clone(partition);
    let look = move || {
        let next = read_now(&there, offset, up_to, |found| take(&mut taken, found))?;
        Ok((taken, next))
    };
    if !partition.log.would_block(offset, READ_BYTES) {
        return look();
    }
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or(Err(ReadingError::Ending))
}

fn read_now(
    partition: &Partition,
    offset: i64,
    up_to: i64,
    mut take: impl FnMut(Found<'_>),
) -> Result<i64, ReadingError> {
    // Readers see whole commits, and so whole batches; `up_to` may lie within one.
    let limit = partition.high_watermark();
    let read = partition.log.read(offset, limit, READ_BYTES, true)?;
    let (mut rest, mut next) = (&read.records[..], offset);
    while !rest.is_empty() {
        let header = verify(rest)?;
        if header.base_offset >= up_to {
            break;
        }
        let body = decompress(&header, rest, BATCH_BYTES)?;
        if !header.attributes.is_control() {
            for record in records(&header, &body) {
                let record = record?;
                let found = Found {
                    offset: header.base_offset + i64::from(record.offset_delta),
                    timestamp: match header.attributes.timestamp_type() {
                        TimestampType::CreateTime => {
                            header.base_timestamp.saturating_add(record.timestamp_delta)
                        }
                        TimestampType::LogAppendTime => header.max_timestamp,
                    },
                    record,
                };
                if (offset..up_to).contains(&found.offset) {
                    take(found);
                }
            }
        }
        next = next.max(header.last_offset() + 1);
        rest = &rest[header.size()..];
    }
    Ok(next)
}
