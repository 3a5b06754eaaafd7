//! Transactions and compaction as they must be after the batches of a [`Partition`].
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use storage::Aborted;

use crate::world::{Batch, Partition};

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    pub commits: bool,
    /// The last stable offset once it had ended.
    pub last_stable_offset: i64,
}

/// What is decided of a log.
#[derive(Debug, Default)]
pub struct Transactions {
    /// Those that have ended, by rising end.
    pub ended: Vec<Transaction>,
    /// Where each one that is open began, by producer.
    pub open: BTreeMap<i64, i64>,
}

impl Transactions {
    /// After `batches`.
    pub fn of<'a>(batches: impl Iterator<Item = &'a Batch>) -> Self {
        let mut known = Self::default();
        for batch in batches {
            let Some(produced) = batch.produced.filter(|p| p.transactional) else {
                continue;
            };
            let producer_id = produced.id;
            let Some(marker) = produced.marker else {
                known.open.entry(producer_id).or_insert(batch.base_offset);
                continue;
            };
            if let Some(first_offset) = known.open.remove(&producer_id) {
                let last_offset = batch.base_offset;
                let last_stable_offset = known.first_open().unwrap_or(last_offset + 1);
                known.ended.push(Transaction {
                    producer_id,
                    first_offset,
                    last_offset,
                    commits: marker.commits,
                    last_stable_offset,
                });
            }
        }
        known
    }

    /// Where the first one that is open began.
    pub fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// The transaction of a batch, if it has ended.
    pub fn ended_of(&self, batch: &Batch) -> Option<&Transaction> {
        let produced = batch.produced?;
        self.ended.iter().find(|it| {
            produced.transactional
                && it.producer_id == produced.id
                && (it.first_offset..=it.last_offset).contains(&batch.base_offset)
        })
    }

    /// Whether the records of a batch count for nothing.
    pub fn is_aborted(&self, batch: &Batch) -> bool {
        self.ended_of(batch).is_some_and(|it| !it.commits)
    }

    /// What the index of aborted transactions says of them.
    pub fn aborted(&self) -> Vec<Aborted> {
        let aborted = self.ended.iter().filter(|it| !it.commits);
        aborted
            .map(|it| Aborted {
                producer_id: it.producer_id,
                first_offset: it.first_offset,
                last_offset: it.last_offset,
                last_stable_offset: it.last_stable_offset,
            })
            .collect()
    }
}

impl Partition {
    /// What is decided by the batches that end at or before `end`, as far as those tell that end
    /// after `start`.
    pub fn transactions(&self, start: i64, end: i64) -> Transactions {
        let within = |batch: &&Batch| batch.end() > start && batch.end() <= end;
        Transactions::of(self.batches.iter().filter(within))
    }

    /// Compaction may from now on remove what is outdated below `limit`, and tombstones and markers
    /// that an earlier pass has told their time: `now_ms` and another `delete_retention_ms`.
    pub fn let_clean(&mut self, limit: i64, now_ms: i64, delete_retention_ms: i64) {
        self.cleaned_limit = self.cleaned_limit.max(limit);
        let transactions = self.transactions(i64::MIN, i64::MAX);
        let mut latest: HashMap<Bytes, i64> = HashMap::new();
        let below = self.batches.iter_mut().filter(|b| b.end() <= limit);
        let below: Vec<&mut Batch> = below.collect();
        for batch in &below {
            if batch.marker().is_none() && !transactions.is_aborted(batch) {
                let keys = batch.records.iter().map(|record| record.key.clone());
                latest.extend(keys.zip(batch.base_offset..));
            }
        }
        for batch in below {
            let is_marker = batch.marker().is_some();
            let aborted = !is_marker && transactions.is_aborted(batch);
            let base_offset = batch.base_offset;
            for (record, offset) in Arc::make_mut(&mut batch.records)
                .iter_mut()
                .zip(base_offset..)
            {
                let outdated = !is_marker && latest.get(&record.key).is_some_and(|&l| l > offset);
                let due = record
                    .horizon_ms
                    .is_some_and(|horizon_ms| horizon_ms <= now_ms);
                record.may_go |= aborted || outdated || due;
                if is_marker || record.value.is_none() {
                    let horizon_ms = now_ms.saturating_add(delete_retention_ms);
                    let horizon_ms = record.horizon_ms.map_or(horizon_ms, |h| h.min(horizon_ms));
                    record.horizon_ms = Some(horizon_ms);
                }
            }
        }
    }
}
