//! Producers of one log: ids, epochs, sequences and the last five batches of each, which is what
//! deduplication needs (KIP-98; Apache Kafka's `ProducerStateManager`).
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use protocol::record::BatchHeader;

use crate::marker::Marker;
use crate::txn_index::Aborted;
use crate::{AppendError, ProducerInfo};

/// How many batches of a producer are remembered; clients have no more in flight.
pub(crate) const REMEMBERED: usize = 5;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducedBatch {
    /// Sequence of its last record.
    pub(crate) last_sequence: i32,
    /// Offset of its last record.
    pub(crate) last_offset: i64,
    /// Its records less one.
    pub(crate) offset_delta: i32,
    /// Its largest timestamp, epoch ms.
    pub(crate) timestamp: i64,
}

impl ProducedBatch {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// Offset of its first record.
    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn is(&self, header: &BatchHeader) -> bool {
        self.last_sequence == header.last_sequence()
            && self.offset_delta == header.last_offset_delta
    }
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    /// Its epoch.
    pub(crate) epoch: i16,
    /// Epoch of the coordinator that wrote its last marker, -1 without one.
    pub(crate) coordinator_epoch: i32,
    /// Timestamp of its last batch or marker, epoch ms.
    pub(crate) last_timestamp: i64,
    /// First offset of its open transaction.
    pub(crate) transaction_start: Option<i64>,
    /// When it last appended, from which it expires: not by the wall clock, which may be set. `None`
    /// if that was before this start: then its time begins when that is first asked.
    seen: Option<Instant>,
    /// The newest last; at most [`REMEMBERED`], all of its epoch.
    batches: Vec<ProducedBatch>,
    /// A snapshot tells the last batch only: those before it are in the log still.
    partial: bool,
}

impl Producer {
    /// As a snapshot tells it.
    pub(crate) fn restored(
        epoch: i16,
        coordinator_epoch: i32,
        last_timestamp: i64,
        transaction_start: Option<i64>,
        last_batch: Option<ProducedBatch>,
    ) -> Self {
        Self {
            epoch,
            coordinator_epoch,
            last_timestamp,
            transaction_start,
            seen: None,
            partial: last_batch.is_some(),
            batches: last_batch.into_iter().collect(),
        }
    }

    /// The newest batch of its epoch.
    pub(crate) fn last_batch(&self) -> Option<&ProducedBatch> {
        self.batches.last()
    }

    fn info(&self, producer_id: i64) -> ProducerInfo {
        ProducerInfo {
            producer_id,
            producer_epoch: self.epoch,
            last_sequence: self.last_batch().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: self.last_timestamp,
            coordinator_epoch: self.coordinator_epoch,
            transaction_start_offset: self.transaction_start.unwrap_or(-1),
        }
    }

    fn remember(&mut self, batch: ProducedBatch) {
        if self.batches.len() == REMEMBERED {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }
}

/// What a producer's batch is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// The next one.
    Next,
    /// One that was appended before.
    Duplicate(ProducedBatch),
}

/// All producers of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offsets of the open transactions.
    open: BTreeSet<i64>,
}

impl Producers {
    /// Judges a client's batch by its producer id, epoch and sequence.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Sequence, AppendError> {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // Its state expired or was deleted with its records: any first sequence will do.
            return Ok(Sequence::Next);
        };
        let producer_id = header.producer_id;
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::FencedProducer {
                producer_id,
                current: producer.epoch,
                got: header.producer_epoch,
            });
        }
        if producer.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(AppendError::OpenTransaction { producer_id });
        }
        let expected = if header.producer_epoch > producer.epoch {
            0
        } else {
            if let Some(batch) = producer.batches.iter().find(|batch| batch.is(header)) {
                return Ok(Sequence::Duplicate(*batch));
            }
            match producer.last_batch() {
                Some(batch) => batch.last_sequence.wrapping_add(1) & i32::MAX,
                // Only a marker of this epoch so far.
                None => 0,
            }
        };
        if header.base_sequence != expected {
            return Err(AppendError::OutOfOrderSequence {
                producer_id,
                expected,
                got: header.base_sequence,
            });
        }
        Ok(Sequence::Next)
    }

    /// Whether a header says just what is expected next of a known producer: the next sequence of its
    /// epoch, in the open transaction if there is one, with a record for each offset.
    pub(crate) fn expect(&self, header: &BatchHeader) -> bool {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            return false;
        };
        let attributes = header.attributes;
        attributes.is_transactional() == producer.transaction_start.is_some()
            && !attributes.is_control()
            && header.producer_epoch == producer.epoch
            && producer.last_batch().is_some_and(|last| {
                header.base_sequence == last.last_sequence.wrapping_add(1) & i32::MAX
            })
            && i64::from(header.records_count) == i64::from(header.last_offset_delta) + 1
    }

    /// Judges a marker: one of an older epoch, of the producer or of the coordinator, is refused.
    pub(crate) fn check_marker(
        &self,
        header: &BatchHeader,
        marker: Marker,
    ) -> Result<(), AppendError> {
        let producer_id = header.producer_id;
        let Some(producer) = self.by_id.get(&producer_id) else {
            return Ok(());
        };
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::FencedProducer {
                producer_id,
                current: producer.epoch,
                got: header.producer_epoch,
            });
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(AppendError::FencedCoordinator {
                current: producer.coordinator_epoch,
                got: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Notes a batch that is in the log, with what it says if it is a transaction marker, and the
    /// time if it was appended just now. Returns the transaction that was aborted by it.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<Marker>,
        now: Option<Instant>,
    ) -> Option<Aborted> {
        if header.producer_id < 0 {
            return None;
        }
        let producer = match self.by_id.entry(header.producer_id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Producer::restored(
                header.producer_epoch,
                -1,
                -1,
                None,
                None,
            )),
        };
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
            producer.partial = false;
        }
        producer.last_timestamp = header.max_timestamp;
        producer.seen = now;
        if let Some(marker) = marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            let first_offset = producer.transaction_start.take()?;
            self.open.remove(&first_offset);
            let last_offset = header.last_offset();
            return (!marker.commits).then(|| Aborted {
                producer_id: header.producer_id,
                first_offset,
                last_offset,
                last_stable_offset: self.first_open().unwrap_or(last_offset + 1),
            });
        }
        if header.attributes.is_control() {
            return None;
        }
        if header.base_sequence >= 0 {
            producer.remember(ProducedBatch::of(header));
        }
        if header.attributes.is_transactional() {
            let first = *producer.transaction_start.get_or_insert(header.base_offset);
            self.open.insert(first);
        }
        None
    }

    /// First offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first().copied()
    }

    /// Ids of the producers with an open transaction, and its first offset.
    pub(crate) fn open_since(&self) -> Vec<(i64, i64)> {
        self.iter()
            .filter_map(|(id, producer)| Some((id, producer.transaction_start?)))
            .collect()
    }

    /// Notes that the open transaction of a producer has ended.
    pub(crate) fn end_transaction(&mut self, producer_id: i64) {
        let producer = self.by_id.get_mut(&producer_id);
        if let Some(first_offset) = producer.and_then(|it| it.transaction_start.take()) {
            self.open.remove(&first_offset);
        }
    }

    /// Offset of the last record of a producer of which earlier batches are in the log but not
    /// remembered.
    pub(crate) fn partial_since(&self, producer_id: i64) -> Option<i64> {
        let producer = self.by_id.get(&producer_id)?;
        producer
            .partial
            .then(|| producer.last_batch())?
            .map(|batch| batch.last_offset)
    }

    /// Remembers the batches of a producer among `headers`, which lie in the log in this order and
    /// end with its last one. Tells whether that is all that need be remembered.
    pub(crate) fn recall(
        &mut self,
        producer_id: i64,
        headers: impl Iterator<Item = BatchHeader>,
    ) -> bool {
        let Some(producer) = self.by_id.get_mut(&producer_id) else {
            return true;
        };
        let known = std::mem::take(&mut producer.batches);
        let first_known = known.first().map_or(i64::MAX, ProducedBatch::base_offset);
        for header in headers {
            let is_of = header.producer_id == producer_id
                && header.producer_epoch == producer.epoch
                && header.base_sequence >= 0
                && header.last_offset() < first_known
                && !header.attributes.is_control();
            if is_of {
                producer.remember(ProducedBatch::of(&header));
            }
        }
        for batch in known {
            producer.remember(batch);
        }
        producer.partial = producer.batches.len() < REMEMBERED;
        !producer.partial
    }

    /// Notes that the log has no more to tell of a producer.
    pub(crate) fn recalled(&mut self, producer_id: i64) {
        if let Some(producer) = self.by_id.get_mut(&producer_id) {
            producer.partial = false;
        }
    }

    /// Puts a producer back as a snapshot tells it.
    pub(crate) fn restore(&mut self, producer_id: i64, producer: Producer) {
        self.open.extend(producer.transaction_start);
        self.by_id.insert(producer_id, producer);
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction. Why the
    /// timestamps of their batches do not count: `docs/decisions/0013`.
    pub(crate) fn expire(&mut self, now: Instant, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            let idle = now.saturating_duration_since(*producer.seen.get_or_insert(now));
            producer.transaction_start.is_some() || (idle.as_millis() as i64) < expiration_ms
        });
    }

    /// Producers by id, in no order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// What may be told of each, by rising id.
    pub(crate) fn describe(&self) -> Vec<ProducerInfo> {
        let all = self.iter();
        let mut infos: Vec<_> = all.map(|(id, producer)| producer.info(id)).collect();
        infos.sort_unstable_by_key(|info| info.producer_id);
        infos
    }

    /// What may be told of one.
    pub(crate) fn describe_one(&self, producer_id: i64) -> Option<ProducerInfo> {
        let producer = self.by_id.get(&producer_id)?;
        Some(producer.info(producer_id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use protocol::record::BatchBuilder;

    fn header(epoch: i16, base_sequence: i32, records: usize, base_offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new()
            .producer(7, epoch, base_sequence)
            .base_offset(base_offset);
        for _ in 0..records {
            builder.push(0, None, None);
        }
        BatchHeader::parse(&builder.build()).unwrap()
    }

    fn expected(result: Result<Sequence, AppendError>) -> i32 {
        match result {
            Err(AppendError::OutOfOrderSequence { expected, .. }) => expected,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        let producers = Producers::default();
        assert_eq!(
            producers.check(&header(3, 77, 1, 0)).unwrap(),
            Sequence::Next
        );
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.apply(&header(0, i32::MAX - 1, 2, 0), None, None);
        assert_eq!(
            producers.check(&header(0, 0, 1, 0)).unwrap(),
            Sequence::Next
        );
        assert_eq!(expected(producers.check(&header(0, 1, 1, 0))), 0);
        // A batch across the wrap: MAX-1, MAX, 0, 1.
        let mut producers = Producers::default();
        producers.apply(&header(0, i32::MAX - 1, 4, 0), None, None);
        assert_eq!(
            producers.check(&header(0, 2, 1, 0)).unwrap(),
            Sequence::Next
        );
        let again = producers.check(&header(0, i32::MAX - 1, 4, 0)).unwrap();
        assert!(matches!(again, Sequence::Duplicate(batch) if batch.base_offset() == 0));
    }

    #[test]
    fn only_the_last_five_batches_are_duplicates() {
        let mut producers = Producers::default();
        for i in 0..6 {
            producers.apply(&header(0, i, 1, i64::from(i) + 100), None, None);
        }
        for i in 1..6 {
            match producers.check(&header(0, i, 1, 0)).unwrap() {
                Sequence::Duplicate(batch) => assert_eq!(batch.base_offset(), i64::from(i) + 100),
                Sequence::Next => panic!("batch {i} is a duplicate"),
            }
        }
        assert_eq!(expected(producers.check(&header(0, 0, 1, 0))), 6);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut producers = Producers::default();
        producers.apply(&header(1, 5, 1, 0), None, None);
        assert_eq!(expected(producers.check(&header(2, 6, 1, 0))), 0);
        assert_eq!(
            producers.check(&header(2, 0, 1, 0)).unwrap(),
            Sequence::Next
        );
        let fenced = producers.check(&header(0, 6, 1, 0));
        assert!(matches!(
            fenced,
            Err(AppendError::FencedProducer {
                current: 1,
                got: 0,
                ..
            })
        ));
        producers.apply(&header(2, 0, 1, 1), None, None);
        assert_eq!(expected(producers.check(&header(2, 6, 1, 0))), 1);
    }

    #[test]
    fn producers_expire_unless_a_transaction_is_open() {
        let mut producers = Producers::default();
        // Its batch is of the year 1970, but was appended after 500 ms.
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        producers.apply(&header(0, 0, 1, 0), None, Some(after(500)));
        producers.expire(after(1499), 1000);
        assert_eq!(producers.describe().len(), 1);
        producers.expire(after(1500), 1000);
        assert_eq!(producers.describe().len(), 0);
        // From before a restart: its time begins with the first look.
        producers.apply(&header(0, 0, 1, 0), None, None);
        producers.expire(after(5000), 1000);
        producers.expire(after(5999), 1000);
        assert_eq!(producers.describe().len(), 1);
        producers.expire(after(6000), 1000);
        assert_eq!(producers.describe().len(), 0);
        let mut open = BatchBuilder::new().producer(7, 0, 0).transactional();
        open.push(0, None, None);
        let open = BatchHeader::parse(&open.build()).unwrap();
        producers.apply(&open, None, Some(began));
        producers.expire(after(1_000_000), 1000);
        assert_eq!(producers.describe().len(), 1);
    }
}
