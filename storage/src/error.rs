//! One error enum per operation.
use std::io;
use std::path::{Path, PathBuf};

use protocol::record::RecordError;

/// Why the data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock file.
    #[error("{0} is in use by another process (it holds the lock file `.lock`)")]
    Locked(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A file operation that failed: what, where, why.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub struct StorageError {
    /// The operation, as in "create".
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl StorageError {
    /// Whether the system had no descriptor or no memory for it: the disk was not asked at all.
    pub(crate) fn is_shortage(&self) -> bool {
        let code = self.source.raw_os_error();
        matches!(code, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
    }
}

/// Says what was done to which path, for `map_err`.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError {
        action,
        path,
        source,
    }
}

/// Why a batch was not appended. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Shape, magic or a record's deltas: INVALID_RECORD (CORRUPT_MESSAGE for a bad CRC or length).
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Not exactly one batch in a client's append: INVALID_RECORD.
    #[error("expected one record batch, got {0}")]
    BatchCount(usize),
    /// Larger than `max.message.bytes`: MESSAGE_TOO_LARGE.
    #[error("batch of {size} bytes is larger than max.message.bytes = {limit}")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The topic's limit.
        limit: u32,
    },
    /// Larger than a segment: RECORD_LIST_TOO_LARGE.
    #[error("batch of {size} bytes is larger than segment.bytes = {limit}")]
    LargerThanSegment {
        /// Bytes of the batch.
        size: usize,
        /// The topic's segment size.
        limit: u32,
    },
    /// A record without key on a compacted topic: INVALID_RECORD with the record indexes.
    #[error("compacted topics need a key in every record")]
    MissingKey {
        /// Indexes of the records without key.
        indexes: Vec<usize>,
    },
    /// A timestamp too far from now: INVALID_TIMESTAMP.
    #[error("timestamp {timestamp} of record {index} is out of the allowed range")]
    Timestamp {
        /// Index of the record.
        index: usize,
        /// Its timestamp, epoch ms.
        timestamp: i64,
    },
    /// Sequence gap: OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("producer {producer_id} sent sequence {got}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence that would have been right.
        expected: i32,
        /// The sequence that came.
        got: i32,
    },
    /// Epoch older than the one known: INVALID_PRODUCER_EPOCH.
    #[error("producer {producer_id} sent epoch {got}, the current one is {current}")]
    FencedProducer {
        /// The producer.
        producer_id: i64,
        /// The epoch known.
        current: i16,
        /// The epoch that came.
        got: i16,
    },
    /// A batch outside of the transaction that its producer has open: INVALID_TXN_STATE.
    #[error("producer {producer_id} has an open transaction, the batch is not part of it")]
    OpenTransaction {
        /// The producer.
        producer_id: i64,
    },
    /// A marker of a coordinator that was replaced: TRANSACTION_COORDINATOR_FENCED.
    #[error("the marker is of coordinator epoch {got}, the current one is {current}")]
    FencedCoordinator {
        /// The epoch known.
        current: i32,
        /// The epoch that came.
        got: i32,
    },
    /// No space: KAFKA_STORAGE_ERROR; the log goes on when there is space again.
    #[error("no space left for {0}")]
    Full(PathBuf),
    /// A flush failed before; the log takes no more writes: KAFKA_STORAGE_ERROR.
    #[error("the log is read-only since a flush failed")]
    Poisoned,
    /// The log was deleted: UNKNOWN_TOPIC_OR_PARTITION.
    #[error("the log is closed")]
    Closed,
    /// A file operation failed: KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Before the log start offset or past the log end offset: OFFSET_OUT_OF_RANGE.
    #[error("offset {offset} is outside {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// Log start offset.
        start: i64,
        /// Log end offset.
        end: i64,
    },
    /// A bad batch at this offset: CORRUPT_MESSAGE.
    #[error("corrupt batch at or after offset {offset} in {path}")]
    Corrupt {
        /// The offset asked for.
        offset: i64,
        /// The segment file.
        path: PathBuf,
    },
    /// The log was deleted: UNKNOWN_TOPIC_OR_PARTITION.
    #[error("the log is closed")]
    Closed,
    /// A file operation failed: KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
