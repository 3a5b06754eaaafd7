//! The 61-byte header of a batch, read in place and restamped in place.
use super::{Compression, RecordError};

/// What time a batch's timestamps tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker at append.
    LogAppendTime,
}

/// The attribute bits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The codec of the body; an unknown one is an error.
    pub fn compression(self) -> Result<Compression, RecordError> {
        todo!()
    }
    /// Bit 3.
    pub fn timestamp_type(self) -> TimestampType {
        todo!()
    }
    /// Bit 4.
    pub fn is_transactional(self) -> bool {
        todo!()
    }
    /// Bit 5.
    pub fn is_control(self) -> bool {
        todo!()
    }
    /// Bit 6: `base_timestamp` is the delete horizon (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        todo!()
    }
}

/// A batch header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// Format version.
    pub magic: i8,
    /// CRC-32C over everything from the attributes on.
    pub crc: u32,
    /// Codec, time type, transactional, control.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// Epoch milliseconds that the records' deltas count from.
    pub base_timestamp: i64,
    /// Largest timestamp of the batch.
    pub max_timestamp: i64,
    /// -1 if the producer is not idempotent.
    pub producer_id: i64,
    /// -1 if the producer is not idempotent.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 if the producer is not idempotent.
    pub base_sequence: i32,
    /// How many records there are.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. Checks magic and that the length is possible
    /// (at least a header), not that the whole batch is there.
    pub fn parse(_bytes: &[u8]) -> Result<Self, RecordError> {
        todo!()
    }
    /// Bytes of the whole batch, prefix included.
    pub fn size(&self) -> usize {
        todo!()
    }
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        todo!()
    }
    /// Sequence of the last record, wrapped at 2^31 - 1; -1 if not idempotent.
    pub fn last_sequence(&self) -> i32 {
        todo!()
    }
}

/// Parses the header, checks that the whole batch is there, and its CRC-32C. The checks that cost a
/// walk over the records are in [`super::check_deltas`].
pub fn verify(_bytes: &[u8]) -> Result<BatchHeader, RecordError> {
    todo!()
}

/// Writes base offset and leader epoch, which lie outside the checksum, into the batch at the start
/// of `batch`.
pub fn restamp(_batch: &mut [u8], _base_offset: i64, _leader_epoch: i32) {
    todo!()
}

/// Turns the batch into one with log append time: attribute bit, max timestamp, new checksum.
pub fn stamp_append_time(_batch: &mut [u8], _timestamp_ms: i64) {
    todo!()
}
