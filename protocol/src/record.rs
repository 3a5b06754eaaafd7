//! Record batches, magic 2: the one format that goes over the wire and lies on disk.
//!
//! (byte table here)
mod batch;
mod builder;
mod compression;
mod walk;

pub use batch::{Attributes, BatchHeader, TimestampType, restamp, stamp_append_time, verify};
pub use builder::BatchBuilder;
pub use compression::{Compression, decompress};
pub use walk::{Header, Record, check_deltas, records};

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
    /// The compressed body cannot be read or is larger than allowed.
    #[error("compressed body: {0}")]
    Compression(String),
}
