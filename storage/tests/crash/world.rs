//! What was done to the logs and what was promised: the measure of what a crash may leave.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use storage::{EpochEnd, Marker, ProducerInfo};

/// Topic and partition.
pub type Key = (String, i32);

/// All partitions that ever were.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub partitions: BTreeMap<Key, Arc<Partition>>,
    /// Whether everything was closed in order.
    pub closed: bool,
}

/// Whether a partition must be there after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Absent,
    Present,
    /// It is being made or deleted: both will do.
    Unsettled,
}

/// A partition.
#[derive(Debug, Clone)]
pub struct Partition {
    pub presence: Presence,
    pub topic_id: [u8; 16],
    /// All that was appended or is being appended, less what was cut off.
    pub batches: Vec<Batch>,
    /// Appends that failed since the last one that did not: one of them may be there in the place
    /// of what comes after it in `batches`, in part, but never together with that.
    pub failed: Vec<Vec<Batch>>,
    /// What a cut of the whole log that failed half-way has removed: the file may come back until
    /// another one's name is durable in its place.
    pub removed: Vec<Batch>,
    /// Compaction has not come further than this.
    pub cleaned_limit: i64,
    /// What lies below may have been why compaction removed something, and is not cut off any more.
    pub cut_floor: i64,
    /// Everything below must be there after a crash.
    pub acknowledged: i64,
    /// Nothing from here on is promised, since it is being cut off.
    pub promise_limit: i64,
    /// The log start offset is this at least.
    pub start: i64,
    /// The log start offset is this at most.
    pub start_limit: i64,
    /// A checkpoint with this start offset failed, and may be on the disk all the same.
    pub start_doubt: i64,
    /// Whether it takes no more appends because a sync failed.
    pub poisoned: bool,
}

/// Who produced a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    pub transactional: bool,
    /// It is a transaction marker.
    pub marker: Option<Marker>,
}

/// A record of an appended batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub timestamp: i64,
    pub key: Bytes,
    pub value: Option<Bytes>,
    /// Whether compaction may have removed it.
    pub may_go: bool,
    /// When compaction may remove it at the earliest (epoch ms), once it has seen that it is a
    /// tombstone or a marker.
    pub horizon_ms: Option<i64>,
}

/// An appended batch.
#[derive(Debug, Clone)]
pub struct Batch {
    pub base_offset: i64,
    pub records: Arc<[Record]>,
    pub produced: Option<Produced>,
    pub leader_epoch: i32,
    pub bytes: Bytes,
}

impl Batch {
    /// The offset after it.
    pub fn end(&self) -> i64 {
        self.base_offset + self.records.len() as i64
    }

    /// Its largest timestamp.
    pub fn max_timestamp(&self) -> i64 {
        self.records
            .iter()
            .map(|record| record.timestamp)
            .max()
            .unwrap()
    }

    /// What it says if it is a transaction marker.
    pub fn marker(&self) -> Option<Marker> {
        self.produced?.marker
    }
}

impl Partition {
    /// One without records that is being made.
    pub fn new(topic_id: [u8; 16]) -> Self {
        Self {
            presence: Presence::Unsettled,
            topic_id,
            batches: Vec::new(),
            failed: Vec::new(),
            removed: Vec::new(),
            cleaned_limit: 0,
            cut_floor: 0,
            acknowledged: 0,
            promise_limit: i64::MAX,
            start: 0,
            start_limit: 0,
            start_doubt: 0,
            poisoned: false,
        }
    }

    /// This one, and what it would be with each of the appends that failed.
    pub fn variants(&self) -> Vec<Self> {
        let with = |failed: &Vec<Batch>| {
            let base_offset = failed[0].base_offset;
            let mut variant = self.clone();
            variant.batches.retain(|b| b.base_offset < base_offset);
            variant.batches.extend_from_slice(failed);
            variant
        };
        let mut variants = vec![self.clone()];
        let removed = Some(&self.removed).filter(|removed| !removed.is_empty());
        variants.extend(self.failed.iter().chain(removed).map(with));
        variants
    }

    /// Promises what lies below `offset`.
    pub fn acknowledge(&mut self, offset: i64) {
        let offset = offset.min(self.promise_limit);
        self.acknowledged = self.acknowledged.max(offset);
        if self.acknowledged > 0 {
            self.removed.clear();
        }
    }

    /// Takes back promises from `offset` on.
    pub fn withdraw(&mut self, offset: i64) {
        self.promise_limit = self.promise_limit.min(offset);
        self.acknowledged = self.acknowledged.min(offset);
    }

    /// Notes that the log start offset is `start` now; with `doubt`, that what was tried since the
    /// last call may come true.
    pub fn settle_start(&mut self, start: i64, doubt: bool) {
        assert!((self.start..=self.start_limit).contains(&start));
        if doubt {
            self.start_doubt = self.start_doubt.max(self.start_limit);
        }
        self.start = start;
        self.start_limit = self.start_doubt.max(start);
    }

    /// Producers after the batches from `from` on that end at or before `end`.
    pub fn producers(&self, from: i64, end: i64) -> BTreeMap<i64, ProducerInfo> {
        let mut producers: BTreeMap<i64, ProducerInfo> = BTreeMap::new();
        let range = self
            .batches
            .iter()
            .filter(|b| b.base_offset >= from && b.end() <= end);
        for batch in range {
            let Some(produced) = batch.produced else {
                continue;
            };
            let known = producers.entry(produced.id).or_insert(ProducerInfo {
                producer_id: produced.id,
                producer_epoch: produced.epoch,
                last_sequence: -1,
                last_timestamp: -1,
                coordinator_epoch: -1,
                transaction_start_offset: -1,
            });
            if known.producer_epoch != produced.epoch {
                known.producer_epoch = produced.epoch;
                known.last_sequence = -1;
            }
            known.last_timestamp = batch.max_timestamp();
            if let Some(marker) = produced.marker {
                known.coordinator_epoch = marker.coordinator_epoch;
                known.transaction_start_offset = -1;
                continue;
            }
            known.last_sequence = produced.base_sequence + batch.records.len() as i32 - 1;
            if produced.transactional && known.transaction_start_offset < 0 {
                known.transaction_start_offset = batch.base_offset;
            }
        }
        producers
    }

    /// Where each leader epoch ends, of the batches that end at or before `end`.
    pub fn epoch_ends(&self, end: i64) -> Vec<EpochEnd> {
        let mut ends: Vec<EpochEnd> = Vec::new();
        for batch in self.batches.iter().filter(|batch| batch.end() <= end) {
            match ends.last_mut() {
                Some(last) if last.leader_epoch == batch.leader_epoch => {}
                last => {
                    if let Some(last) = last {
                        last.end_offset = batch.base_offset;
                    }
                    ends.push(EpochEnd {
                        leader_epoch: batch.leader_epoch,
                        end_offset: end,
                    });
                }
            }
        }
        ends
    }
}

impl World {
    /// A partition to be changed.
    pub fn partition(&mut self, key: &Key) -> &mut Partition {
        Arc::make_mut(self.partitions.get_mut(key).unwrap())
    }

    /// Partitions that are there.
    pub fn present(&self) -> Vec<Key> {
        let present = |p: &Arc<Partition>| p.presence == Presence::Present;
        let partitions = self.partitions.iter().filter(|(_, p)| present(p));
        partitions.map(|(key, _)| key.clone()).collect()
    }

    /// Content of a checkpoint file that says that all is durable.
    pub fn recovery_points_ahead(&self) -> Vec<u8> {
        let present = self.present();
        let mut text = format!("0\n{}\n", present.len());
        for key in present {
            let partition = &self.partitions[&key];
            let end = partition.batches.last().map_or(0, Batch::end);
            writeln!(text, "{} {} {end}", key.0, key.1).unwrap();
        }
        text.into_bytes()
    }
}
