//! The small files beside a segment, in Apache Kafka's formats (`OffsetIndex`, `TimeIndex`,
//! `TransactionIndex`, `ProducerSnapshot` version 1), big-endian.
//!
//! ```text
//! .index      relative offset:i32, position:i32
//! .timeindex  timestamp:i64, relative offset:i32
//! .txnindex   version:i16, producer id:i64, first, last, last stable offset:i64
//! .snapshot   version:i16, crc:u32, count:i32, then per producer: id:i64, epoch:i16, last sequence:i32,
//!             last offset:i64, offset delta:i32, timestamp:i64, coordinator epoch:i32,
//!             first offset of its open transaction:i64
//! ```

/// An entry of an offset index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) offset: i64,
    pub(super) position: u64,
}

/// An entry of a time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp_ms: i64,
    pub(super) offset: i64,
}

/// An aborted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AbortedEntry {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    pub(super) last_offset: i64,
    pub(super) last_stable_offset: i64,
}

/// A producer of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerEntry {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    pub(super) last_sequence: i32,
    pub(super) last_offset: i64,
    pub(super) timestamp_ms: i64,
    /// -1 without one.
    pub(super) transaction_first_offset: i64,
}

const PRODUCER_LEN: usize = 46;

/// The entries of a `.index` whose segment starts at `base_offset`. Zeros at the end are space
/// reserved for more.
pub(super) fn offset_index(bytes: &[u8], base_offset: i64) -> Vec<OffsetEntry> {
    let (entries, _) = used(bytes, 8).as_chunks::<8>();
    let entry = |entry: &[u8; 8]| OffsetEntry {
        offset: base_offset + i64::from(i32_at(entry, 0)),
        position: i32_at(entry, 4) as u64,
    };
    entries.iter().map(entry).collect()
}

/// The entries of a `.timeindex` whose segment starts at `base_offset`.
pub(super) fn time_index(bytes: &[u8], base_offset: i64) -> Vec<TimeEntry> {
    let (entries, _) = used(bytes, 12).as_chunks::<12>();
    let entry = |entry: &[u8; 12]| TimeEntry {
        timestamp_ms: i64_at(entry, 0),
        offset: base_offset + i64::from(i32_at(entry, 8)),
    };
    entries.iter().map(entry).collect()
}

/// The entries of a `.txnindex`.
pub(super) fn transaction_index(bytes: &[u8]) -> Vec<AbortedEntry> {
    let (entries, _) = bytes.as_chunks::<34>();
    let entry = |entry: &[u8; 34]| AbortedEntry {
        producer_id: i64_at(entry, 2),
        first_offset: i64_at(entry, 10),
        last_offset: i64_at(entry, 18),
        last_stable_offset: i64_at(entry, 26),
    };
    entries.iter().map(entry).collect()
}

/// The producers of a `.snapshot`; `None` if it is not version 1, not as long as it says, or its
/// checksum is wrong.
pub(super) fn snapshot(bytes: &[u8]) -> Option<Vec<ProducerEntry>> {
    let (head, rest) = bytes.split_at_checked(10)?;
    let (entries, odd) = rest.as_chunks::<PRODUCER_LEN>();
    let sound = head[..2] == [0, 1]
        && i32_at(head, 2) as u32 == crc32c::crc32c(&bytes[6..])
        && i32_at(head, 6) as usize == entries.len()
        && odd.is_empty();
    if !sound {
        return None;
    }
    let entry = |entry: &[u8; PRODUCER_LEN]| ProducerEntry {
        producer_id: i64_at(entry, 0),
        epoch: i16::from_be_bytes([entry[8], entry[9]]),
        last_sequence: i32_at(entry, 10),
        last_offset: i64_at(entry, 14),
        timestamp_ms: i64_at(entry, 26),
        transaction_first_offset: i64_at(entry, 38),
    };
    Some(entries.iter().map(entry).collect())
}

/// `bytes` without the zero entries at the end.
fn used(bytes: &[u8], len: usize) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &bytes[..end.next_multiple_of(len).min(bytes.len())]
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(
        bytes[at..at + 4]
            .try_into()
            .expect("the slice has four bytes"),
    )
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(
        bytes[at..at + 8]
            .try_into()
            .expect("the slice has eight bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_end_where_the_zeros_begin() {
        let mut bytes = vec![0, 0, 0, 5, 0, 0, 1, 0];
        bytes.extend([0; 24]);
        assert_eq!(
            offset_index(&bytes, 100),
            [OffsetEntry {
                offset: 105,
                position: 256
            }]
        );
        assert_eq!(offset_index(&[0; 16], 100), []);
    }

    #[test]
    fn a_snapshot_must_be_as_long_as_it_says() {
        let mut bytes = vec![0, 1, 9, 9, 9, 9, 0, 0, 0, 1];
        assert_eq!(snapshot(&bytes), None);
        bytes.extend([0; PRODUCER_LEN]);
        bytes[17] = 7;
        assert_eq!(snapshot(&bytes), None, "the checksum is wrong");
        let checksum = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(
            snapshot(&bytes).map(|entries| entries[0].producer_id),
            Some(7)
        );
        bytes.push(0);
        assert_eq!(snapshot(&bytes), None);
        assert_eq!(snapshot(&[]), None);
    }
}
