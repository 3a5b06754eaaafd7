//! Producer snapshots (`<offset>.snapshot`): the producers as they were when the log ended at that
//! offset. Apache Kafka's `ProducerSnapshot` version 1, big-endian:
//!
//! | bytes | type | what |
//! |---|---|---|
//! | 0..2 | i16 | version, 1 |
//! | 2..6 | u32 | CRC-32C of all that follows |
//! | 6..10 | i32 | how many producers follow, 46 bytes each |
//! | +0 | i64 | producer id |
//! | +8 | i16 | producer epoch |
//! | +10 | i32 | sequence of its last record, -1 without one |
//! | +14 | i64 | offset of its last record, -1 without one |
//! | +22 | i32 | records of its last batch, less one |
//! | +26 | i64 | timestamp of its last batch, epoch ms |
//! | +34 | i32 | epoch of the coordinator that wrote its last marker, -1 without one |
//! | +38 | i64 | first offset of its open transaction, -1 without one |
use crate::producer_state::{ProducedBatch, Producer, Producers};

const VERSION: i16 = 1;
const HEAD: usize = 10;
const CRC_END: usize = 6;
const ENTRY: usize = 46;

/// The file's content.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + producers.iter().len() * ENTRY);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(producers.iter().len() as i32).to_be_bytes());
    let mut by_id: Vec<_> = producers.iter().collect();
    by_id.sort_unstable_by_key(|(producer_id, _)| *producer_id);
    for (producer_id, producer) in by_id {
        let last = producer.last_batch();
        out.extend_from_slice(&producer_id.to_be_bytes());
        out.extend_from_slice(&producer.epoch.to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_offset).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        out.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        out.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        out.extend_from_slice(&producer.transaction_start.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc32c::crc32c(&out[CRC_END..]);
    out[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a file's content; `None` if it is damaged.
pub(crate) fn decode(content: &[u8]) -> Option<Producers> {
    let head: &[u8; HEAD] = content.first_chunk()?;
    let version = i16::from_be_bytes([head[0], head[1]]);
    let crc = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let count = i32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    let (entries, rest) = content[HEAD..].as_chunks::<ENTRY>();
    let good = version == VERSION
        && crc == crc32c::crc32c(&content[CRC_END..])
        && usize::try_from(count).is_ok_and(|count| count == entries.len())
        && rest.is_empty();
    if !good {
        return None;
    }
    let mut producers = Producers::default();
    for entry in entries {
        let (producer_id, producer) = decode_entry(entry);
        producers.restore(producer_id, producer);
    }
    Some(producers)
}

fn decode_entry(entry: &[u8; ENTRY]) -> (i64, Producer) {
    let last_offset = i64::from_be_bytes(field(entry, 14));
    let timestamp = i64::from_be_bytes(field(entry, 26));
    let transaction_start = i64::from_be_bytes(field(entry, 38));
    let last_batch = (last_offset >= 0).then(|| ProducedBatch {
        last_sequence: i32::from_be_bytes(field(entry, 10)),
        last_offset,
        offset_delta: i32::from_be_bytes(field(entry, 22)),
        timestamp,
    });
    let producer = Producer::restored(
        i16::from_be_bytes(field(entry, 8)),
        i32::from_be_bytes(field(entry, 34)),
        timestamp,
        (transaction_start >= 0).then_some(transaction_start),
        last_batch,
    );
    (i64::from_be_bytes(field(entry, 0)), producer)
}

fn field<const N: usize>(entry: &[u8; ENTRY], at: usize) -> [u8; N] {
    std::array::from_fn(|i| entry[at + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Producers {
        let mut producers = Producers::default();
        let batch = ProducedBatch {
            last_sequence: 9,
            last_offset: 109,
            offset_delta: 9,
            timestamp: 1234,
        };
        producers.restore(1, Producer::restored(2, 3, 1234, Some(100), Some(batch)));
        producers.restore(2, Producer::restored(0, -1, 55, None, None));
        producers
    }

    #[test]
    fn comes_back_whole() {
        let bytes = encode(&sample());
        assert_eq!(bytes.len(), HEAD + 2 * ENTRY);
        assert_eq!(decode(&bytes).unwrap().describe(), sample().describe());
        assert_eq!(
            decode(&encode(&Producers::default())).unwrap().iter().len(),
            0
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&sample());
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(decode(&bad).is_none(), "bit {i}");
        }
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_none(), "cut at {end}");
        }
    }
}
