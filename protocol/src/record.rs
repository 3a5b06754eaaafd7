//! Record batches, magic 2: the one format that goes over the wire and lies on disk.
//!
//! ```text
//! position  bytes  field                  note
//!        0      8  base offset            stamped by the broker, outside the checksum
//!        8      4  batch length           counts everything after itself
//!       12      4  partition leader epoch stamped by the broker, outside the checksum
//!       16      1  magic                  2
//!       17      4  crc                    CRC-32C over everything from position 21 on
//!       21      2  attributes             bits 0-2 codec, 3 append time, 4 transactional,
//!                                         5 control, 6 delete horizon
//!       23      4  last offset delta      survives compaction
//!       27      8  base timestamp         epoch milliseconds
//!       35      8  max timestamp          epoch milliseconds
//!       43      8  producer id            -1 if not idempotent
//!       51      2  producer epoch         -1 if not idempotent
//!       53      4  base sequence          -1 if not idempotent
//!       57      4  records count
//!       61      …  records                compressed as one block by the codec
//! ```
//!
//! All of these are big-endian. A record is a run of zigzag varints and bytes:
//!
//! ```text
//! length:varint  attributes:i8  timestamp delta:varlong  offset delta:varint
//! key length:varint (-1 is null)    key
//! value length:varint (-1 is null)  value
//! headers count:varint, each: key length:varint, key, value length:varint (-1 is null), value
//! ```
//!
//! Source: Kafka's `DefaultRecordBatch` and `DefaultRecord`.
mod batch;
mod builder;
mod compression;
mod recompress;
#[cfg(test)]
mod tests;
mod varint;
mod walk;

pub use batch::{
    Attributes, BatchHeader, TimestampType, restamp, stamp_append_time, stamp_max_timestamp, verify,
};
pub use builder::BatchBuilder;
pub use compression::{Compression, decompress};
pub use recompress::recompress;
pub use walk::{Header, Record, check_deltas, check_records, records};

/// Bytes of a batch header, from the base offset up to and with the record count.
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that the `batch_length` field counts.
pub const LENGTH_PREFIX: usize = 12;

/// Why bytes are not a good batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes that the batch needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A length field that no batch can have.
    #[error("batch length {0} is impossible")]
    BadLength(i32),
    /// Magic 0 or 1 (or nonsense).
    #[error("magic {0} is not supported, only 2 is")]
    BadMagic(i8),
    /// The checksum does not match.
    #[error("checksum is {computed:#010x}, the header says {stored:#010x}")]
    BadCrc {
        /// CRC-32C as computed.
        computed: u32,
        /// CRC-32C as stored in the header.
        stored: u32,
    },
    /// The record at this index breaks the shape (lengths, deltas, count).
    #[error("record {index}: {reason}")]
    BadRecord {
        /// Index of the record in its batch.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A header field that contradicts another.
    #[error("{0}")]
    BadHeader(&'static str),
    /// The records are good but the header's max timestamp is not theirs. Kafka's broker repairs
    /// such a batch rather than refusing it; so may the caller, with [`stamp_max_timestamp`].
    #[error("the header's max timestamp is {stored}, the records' is {actual}")]
    BadMaxTimestamp {
        /// Epoch milliseconds as stored in the header.
        stored: i64,
        /// Largest timestamp of the records, epoch milliseconds.
        actual: i64,
    },
    /// The compressed body cannot be read or is larger than allowed.
    #[error("compressed body: {0}")]
    Compression(String),
}
