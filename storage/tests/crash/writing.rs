//! The batches that a history appends: of a few keys, of producers that are idempotent or
//! transactional, and the markers that end transactions.
use bytes::Bytes;
use protocol::record::BatchBuilder;
use storage::Marker;

use crate::random::Random;
use crate::world::{Batch, Partition, Produced, Record};

/// Producers; those from [`TRANSACTIONAL`] on write in transactions.
const PRODUCERS: usize = 6;
const TRANSACTIONAL: i64 = 3;
/// Keys of a log.
const KEYS: usize = 12;

/// Makes batches, no two of which are the same.
#[derive(Debug)]
pub struct Writing {
    random: Random,
    counter: u64,
}

impl Writing {
    pub fn new(mut random: Random) -> Self {
        Self {
            counter: random.next() << 32,
            random,
        }
    }

    /// `count` batches for the end of a log, which is `base_offset`.
    pub fn batches(
        &mut self,
        partition: &Partition,
        base_offset: i64,
        now_ms: i64,
        count: usize,
        internal: bool,
    ) -> Vec<Batch> {
        let last = partition.batches.last();
        let last_epoch = last.map_or(0, |batch| batch.leader_epoch);
        let leader_epoch = last_epoch + i32::from(self.random.one_in(40));
        let mut known = partition.clone();
        let mut batches = Vec::new();
        let mut offset = base_offset;
        for _ in 0..count {
            let produced = self.random.percent(70);
            let produced = produced.then(|| self.produced(&known, offset, internal));
            let batch = self.batch(offset, produced, leader_epoch, now_ms);
            offset = batch.end();
            known.batches.push(batch.clone());
            batches.push(batch);
        }
        batches
    }

    fn batch(
        &mut self,
        base_offset: i64,
        produced: Option<Produced>,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Batch {
        let mut builder = BatchBuilder::new();
        if let Some(p) = produced {
            builder = builder.producer(p.id, p.epoch, p.base_sequence);
            if p.transactional {
                builder = builder.transactional();
            }
        }
        let records = match produced.and_then(|produced| produced.marker) {
            Some(marker) => {
                builder = builder.control();
                vec![marker_record(marker, now_ms)]
            }
            None => (0..=self.random.below(4))
                .map(|_| self.record(now_ms))
                .collect(),
        };
        for record in &records {
            builder.push(record.timestamp, Some(&record.key), record.value.as_deref());
        }
        Batch {
            base_offset,
            records: records.into(),
            produced,
            leader_epoch,
            bytes: builder.build(),
        }
    }

    fn record(&mut self, now_ms: i64) -> Record {
        self.counter += 1;
        let random = &mut self.random;
        let mut value = self.counter.to_be_bytes().to_vec();
        value.resize(8 + random.below(3) * random.below(300), b'.');
        Record {
            timestamp: now_ms - random.below(2000) as i64,
            key: format!("key {}", random.below(KEYS)).into(),
            value: (!random.one_in(6)).then(|| value.into()),
            may_go: false,
            horizon_ms: None,
        }
    }

    /// Who produces the batch at `end`.
    fn produced(&mut self, known: &Partition, end: i64, internal: bool) -> Produced {
        let random = &mut self.random;
        let producers = known.producers(0, end);
        let open: Vec<_> = producers
            .values()
            .filter(|producer| producer.transaction_start_offset >= 0)
            .collect();
        if internal && random.percent(70) && !open.is_empty() {
            let producer = open[random.below(open.len())];
            let marker = Marker {
                commits: random.one_in(2),
                coordinator_epoch: producer.coordinator_epoch.max(random.below(5) as i32),
            };
            return Produced {
                id: producer.producer_id,
                epoch: producer.producer_epoch,
                base_sequence: -1,
                transactional: true,
                marker: Some(marker),
            };
        }
        let id = random.below(PRODUCERS) as i64;
        let producer = producers.get(&id);
        let fresh = random.one_in(20);
        let epoch =
            producer.map_or(0, |p| p.producer_epoch) + i16::from(fresh && producer.is_some());
        let last = producer.filter(|p| p.producer_epoch == epoch);
        Produced {
            id,
            epoch,
            base_sequence: last.map_or(0, |p| p.last_sequence + 1),
            transactional: id >= TRANSACTIONAL,
            marker: None,
        }
    }
}

fn marker_record(marker: Marker, now_ms: i64) -> Record {
    let epoch = marker.coordinator_epoch.to_be_bytes();
    Record {
        timestamp: now_ms,
        key: Bytes::copy_from_slice(&[0, 0, 0, u8::from(marker.commits)]),
        value: Some([&[0, 0], &epoch[..]].concat().into()),
        may_go: false,
        horizon_ms: None,
    }
}
