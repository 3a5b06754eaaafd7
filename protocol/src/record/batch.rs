//! The 61-byte header of a batch, read in place and restamped in place.
use super::{Compression, HEADER_LEN, LENGTH_PREFIX, RecordError};

/// Position of the magic byte, the same in every format version.
const MAGIC_AT: usize = 16;
/// Position of the checksum.
const CRC_AT: usize = 17;
/// Position of the attributes: the checksum covers everything from here on.
const ATTRIBUTES_AT: usize = 21;
/// Position of the max timestamp.
const MAX_TIMESTAMP_AT: usize = 35;

pub(super) const CODEC_MASK: i16 = 0b111;
pub(super) const APPEND_TIME_BIT: i16 = 1 << 3;
pub(super) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(super) const CONTROL_BIT: i16 = 1 << 5;
pub(super) const DELETE_HORIZON_BIT: i16 = 1 << 6;

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
        match self.0 & CODEC_MASK {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            _ => Err(RecordError::BadHeader("unknown compression codec")),
        }
    }
    /// Bit 3.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }
    /// Bit 4.
    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }
    /// Bit 5.
    pub fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }
    /// Bit 6: `base_timestamp` is the delete horizon (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_BIT != 0
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
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        // Older formats have shorter headers: name the magic even if no magic 2 header is there.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic != 2
        {
            return Err(RecordError::BadMagic(magic as i8));
        }
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(RecordError::Truncated {
            needed: HEADER_LEN,
            left: bytes.len(),
        })?;
        let header = Self::read(header);
        if header.batch_length < (HEADER_LEN - LENGTH_PREFIX) as i32 {
            return Err(RecordError::BadLength(header.batch_length));
        }
        Ok(header)
    }

    fn read(b: &[u8; HEADER_LEN]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(field(b, 0)),
            batch_length: i32::from_be_bytes(field(b, 8)),
            leader_epoch: i32::from_be_bytes(field(b, 12)),
            magic: b[MAGIC_AT] as i8,
            crc: u32::from_be_bytes(field(b, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(b, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(b, 23)),
            base_timestamp: i64::from_be_bytes(field(b, 27)),
            max_timestamp: i64::from_be_bytes(field(b, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(b, 43)),
            producer_epoch: i16::from_be_bytes(field(b, 51)),
            base_sequence: i32::from_be_bytes(field(b, 53)),
            records_count: i32::from_be_bytes(field(b, 57)),
        }
    }

    /// The header as it lies on disk; the checksum is written as the field says.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[16] = self.magic as u8;
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, prefix included.
    pub fn size(&self) -> usize {
        LENGTH_PREFIX + self.batch_length.max(0) as usize
    }
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }
    /// Sequence of the last record, wrapped at 2^31 - 1; -1 if not idempotent.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        // Sequences are 31 bits: 2^31 - 1 is followed by 0.
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }
}

/// The `N` bytes of a header field at a position.
fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| header[at + i])
}

/// Parses the header, checks that the whole batch is there, and its CRC-32C. The checks that cost a
/// walk over the records are in [`super::check_deltas`].
pub fn verify(bytes: &[u8]) -> Result<BatchHeader, RecordError> {
    let header = BatchHeader::parse(bytes)?;
    let needed = header.size();
    let batch = bytes.get(..needed).ok_or(RecordError::Truncated {
        needed,
        left: bytes.len(),
    })?;
    let computed = checksum(batch);
    if computed != header.crc {
        return Err(RecordError::BadCrc {
            computed,
            stored: header.crc,
        });
    }
    Ok(header)
}

/// CRC-32C of a whole batch. `crc-fast` takes 18 ns for 1 KiB where `crc32c` takes 53 ns.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(&batch[ATTRIBUTES_AT..])
}

/// Computes the checksum of the whole batch at the start of `batch` and writes it.
pub(super) fn stamp_checksum(batch: &mut [u8]) {
    let crc = checksum(batch);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}

/// Writes base offset and leader epoch, which lie outside the checksum, into the batch at the start
/// of `batch`.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn restamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Turns the batch into one with log append time: attribute bit, max timestamp, new checksum.
///
/// # Panics
/// If `batch` is not a whole batch; see [`verify`].
pub fn stamp_append_time(batch: &mut [u8], timestamp_ms: i64) {
    let attributes = i16::from_be_bytes([batch[21], batch[22]]) | APPEND_TIME_BIT;
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    stamp_max_timestamp(batch, timestamp_ms);
}

/// Writes another max timestamp and the checksum that follows from it.
///
/// # Panics
/// If `batch` is not a whole batch; see [`verify`].
pub fn stamp_max_timestamp(batch: &mut [u8], timestamp_ms: i64) {
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&timestamp_ms.to_be_bytes());
    let size = BatchHeader::parse(batch)
        .expect("the caller verified the batch")
        .size();
    stamp_checksum(&mut batch[..size]);
}
