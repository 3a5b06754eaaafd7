//! Transaction markers: the control batch that ends a transaction in a partition. One record:
//!
//! | part | bytes | type | what |
//! |---|---|---|---|
//! | key | 0..2 | i16 | version, 0 |
//! | key | 2..4 | i16 | 0 abort, 1 commit |
//! | value | 0..2 | i16 | version, 0 |
//! | value | 2..6 | i32 | epoch of the coordinator that decided it |
//!
//! Source: Apache Kafka's `ControlRecordType` and `EndTransactionMarker`.
use bytes::Bytes;
use protocol::record::{self, BatchBuilder, BatchHeader, HEADER_LEN};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const VERSION: i16 = 0;

/// What a transaction marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Commit, or abort.
    pub commits: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// What a control batch at the start of `batch` says, if it is a transaction marker.
    pub fn read(header: &BatchHeader, batch: &[u8]) -> Option<Self> {
        if !header.attributes.is_control() {
            return None;
        }
        let body = batch.get(HEADER_LEN..header.size())?;
        let record = record::records(header, body).next()?.ok()?;
        let kind: &[u8; 2] = record.key?.get(2..)?.first_chunk()?;
        let epoch: &[u8; 4] = record.value?.get(2..)?.first_chunk()?;
        let commits = match i16::from_be_bytes(*kind) {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        Some(Self {
            commits,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }

    /// The batch that ends the transaction of a producer, for [`crate::Origin::Internal`].
    pub fn batch(self, producer_id: i64, producer_epoch: i16, now_ms: i64) -> Bytes {
        let kind = if self.commits { COMMIT } else { ABORT };
        let mut key = VERSION.to_be_bytes().to_vec();
        key.extend_from_slice(&kind.to_be_bytes());
        let mut value = VERSION.to_be_bytes().to_vec();
        value.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut batch = BatchBuilder::new()
            .producer(producer_id, producer_epoch, -1)
            .transactional()
            .control();
        batch.push(now_ms, Some(&key), Some(&value));
        batch.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for commits in [false, true] {
            let marker = Marker {
                commits,
                coordinator_epoch: 7,
            };
            let batch = marker.batch(3, 4, 5);
            let header = record::verify(&batch).unwrap();
            assert_eq!((header.producer_id, header.producer_epoch), (3, 4));
            assert!(header.attributes.is_transactional() && header.attributes.is_control());
            assert_eq!(Marker::read(&header, &batch), Some(marker));
            let golden = [&[0, 0, 0, u8::from(commits)][..], &[12, 0, 0, 0, 0, 0, 7]].concat();
            assert_eq!(&batch[batch.len() - 12..batch.len() - 1], golden);
        }
    }
}
