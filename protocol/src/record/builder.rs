//! Builds batches: for coordinators, projections, the cleaner, the client and tests.
use bytes::Bytes;

use super::batch::{CONTROL_BIT, DELETE_HORIZON_BIT, TRANSACTIONAL_BIT, stamp_checksum};
use super::varint::{self, write_i32, write_i64};
use super::{Attributes, BatchHeader, Compression, HEADER_LEN, LENGTH_PREFIX, Record, compression};

/// Collects records into one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Compression,
    /// How much the timestamp deltas of kept records grow, since the base timestamp is another.
    shift_ms: i64,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty builder with base offset 0, no producer, create time.
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: 0,
        };
        Self {
            header,
            codec: Compression::None,
            shift_ms: 0,
            bytes: vec![0; HEADER_LEN],
        }
    }

    /// A builder that makes a smaller copy of a batch, as the cleaner does: all header fields stay,
    /// offsets, last offset delta and timestamps included, and records go in with
    /// [`BatchBuilder::keep`]. None at all is legal: such a batch keeps a producer's last sequence.
    pub fn rewrite(header: &BatchHeader) -> Self {
        let mut builder = Self::new();
        builder.header = BatchHeader {
            records_count: 0,
            ..*header
        };
        builder.codec = header.attributes.compression().unwrap_or_default();
        builder
    }

    /// Sets the base offset.
    #[must_use]
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }
    /// Sets the partition leader epoch.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.leader_epoch = leader_epoch;
        self
    }
    /// Sets the codec.
    #[must_use]
    pub fn compression(mut self, codec: Compression) -> Self {
        self.codec = codec;
        self
    }
    /// Makes the batch idempotent.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }
    /// Sets the transactional bit.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes.0 |= TRANSACTIONAL_BIT;
        self
    }
    /// Sets the control bit.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes.0 |= CONTROL_BIT;
        self
    }

    /// Sets when tombstones of a batch that is being rewritten may go (KIP-534): the base timestamp
    /// becomes that time, and the records' deltas count from it. Comes before any record.
    #[must_use]
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.shift_ms = self.header.base_timestamp.wrapping_sub(horizon_ms);
        self.header.base_timestamp = horizon_ms;
        self.header.attributes.0 |= DELETE_HORIZON_BIT;
        self
    }
    /// Sets the max timestamp of a batch that is being rewritten, which lost the record that had it.
    #[must_use]
    pub fn max_timestamp(mut self, timestamp_ms: i64) -> Self {
        self.header.max_timestamp = timestamp_ms;
        self
    }

    /// Adds a record; its offset delta is its index.
    pub fn push(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push_with_headers(timestamp_ms, key, value, &[]);
    }

    /// Adds a record with headers.
    pub fn push_with_headers(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let mut raw_headers = Vec::with_capacity(1);
        write_i32(&mut raw_headers, headers.len() as i32);
        for (key, value) in headers {
            write_nullable(&mut raw_headers, Some(key));
            write_nullable(&mut raw_headers, *value);
        }
        if self.is_empty() {
            self.header.base_timestamp = timestamp_ms;
            self.header.max_timestamp = timestamp_ms;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp_ms);
        self.header.last_offset_delta = self.header.records_count;
        self.keep(&Record {
            offset_delta: self.header.records_count,
            timestamp_delta: timestamp_ms.wrapping_sub(self.header.base_timestamp),
            key,
            value,
            raw_headers: &raw_headers,
        });
    }

    /// Adds a record of the batch that is being rewritten, as it is: its deltas and its headers.
    pub fn keep(&mut self, record: &Record<'_>) {
        let timestamp_delta = record.timestamp_delta.wrapping_add(self.shift_ms);
        let length = 1
            + varint::size(timestamp_delta)
            + varint::size(i64::from(record.offset_delta))
            + nullable_size(record.key)
            + nullable_size(record.value)
            + record.raw_headers.len();
        let out = &mut self.bytes;
        out.reserve(varint::size(length as i64) + length);
        write_i32(out, length as i32);
        out.push(0);
        write_i64(out, timestamp_delta);
        write_i32(out, record.offset_delta);
        write_nullable(out, record.key);
        write_nullable(out, record.value);
        out.extend_from_slice(record.raw_headers);
        self.header.records_count += 1;
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.header.records_count as usize
    }
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }
    /// Uncompressed bytes so far, header included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch with its checksum.
    pub fn build(self) -> Bytes {
        let Self {
            mut header,
            mut codec,
            bytes: records,
            ..
        } = self;
        if header.records_count == 0 {
            // There is nothing to compress, nor any delta or tombstone that the time would be for.
            codec = Compression::None;
            header.attributes.0 &= !DELETE_HORIZON_BIT;
            header.base_timestamp = -1;
        }
        let mut batch = match codec {
            Compression::None => records,
            codec => {
                let mut compressed = vec![0; HEADER_LEN];
                compression::compress(codec, None, &records[HEADER_LEN..], &mut compressed);
                compressed
            }
        };
        header.attributes.0 = header.attributes.0 & !0b111 | codec as i16;
        header.batch_length = (batch.len() - LENGTH_PREFIX) as i32;
        batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        stamp_checksum(&mut batch);
        Bytes::from(batch)
    }
}

fn nullable_size(value: Option<&[u8]>) -> usize {
    value.map_or(1, |value| varint::size(value.len() as i64) + value.len())
}

fn write_nullable(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => write_i32(out, -1),
        Some(value) => {
            write_i32(out, value.len() as i32);
            out.extend_from_slice(value);
        }
    }
}
