//! Ending a transaction in all that it wrote to. The order, each step on disk before the next:
//! 1. the decision, in the journal (Prepare);
//! 2. a marker in every partition, each on its own: one that fails keeps no other waiting, and those
//!    that are done are not written again;
//! 3. that it is done, in the journal (Complete).
//!
//! A crash before 1 leaves the transaction open, and it times out. After 1 the markers that are
//! missing are written at the next start. Until 3 nobody begins another transaction under this id.
//!
//! Step 3 is not waited for, so the loss of power can take it and keep what the next transaction
//! wrote. The markers of the one before must not end that one then: `Transaction::holds` says how the
//! two are told apart.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::error::ErrorCode;
use storage::{AppendError, Marker, Origin};
use tokio::task::JoinHandle;

use super::COORDINATOR_EPOCH;
use super::state::{Identity, Partitions, Transaction};
use super::transactions::{Place, Transactions, Written};
use crate::coordinator::{Journal, group};
use crate::partition::{Partition, now_ms};

/// A decided transaction that somebody sees to, one at a time.
struct Ending {
    place: Arc<Place>,
    prepared: Arc<Transaction>,
    /// The decision.
    written: Written,
}

impl Ending {
    /// `None` if nothing is decided, or somebody else sees to it.
    fn begin(place: &Arc<Place>) -> Option<Self> {
        let mut slot = place.lock();
        let prepared = slot.transaction.clone()?;
        if prepared.state.prepared().is_none() || is_same(slot.ending.as_ref(), &prepared) {
            return None;
        }
        slot.ending = Some(Arc::clone(&prepared));
        let written = place.last_written(&slot);
        Some(Self {
            place: Arc::clone(place),
            prepared,
            written,
        })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut slot = self.place.lock();
        // The next transaction may be ending already.
        if is_same(slot.ending.as_ref(), &self.prepared) {
            slot.ending = None;
        }
    }
}

fn is_same(one: Option<&Arc<Transaction>>, other: &Arc<Transaction>) -> bool {
    one.is_some_and(|one| Arc::ptr_eq(one, other))
}

/// A partition with what came of its marker: `None` if it needs none.
pub(super) type Marked = (Arc<str>, i32, Result<Option<Written>, ErrorCode>);

impl Transactions {
    /// Ends what was decided, on a task of its own.
    pub(super) fn end_everywhere(self: &Arc<Self>, place: &Arc<Place>) -> JoinHandle<()> {
        let transactions = Arc::clone(self);
        let ending = Ending::begin(place);
        tokio::spawn(async move {
            let Some(ending) = ending else { return };
            if let Err(error) = transactions.end_and_settle(&ending).await {
                tracing::warn!(transactional_id = &*ending.place.id, %error,
                    "the markers of a transaction are not all written yet");
            }
        })
    }

    async fn end_and_settle(&self, ending: &Ending) -> Result<(), ErrorCode> {
        ending.written.durable().await?;
        let (place, prepared) = (&ending.place, &ending.prepared);
        let mut settled = Vec::new();
        for (topic, index, marked) in self.write_markers(place, prepared, |_, _, _| true) {
            let durable = match marked {
                Ok(Some(written)) => written.durable().await,
                marked => marked.map(|_| ()),
            };
            settled.push((topic, index, durable));
        }
        self.settle(place, prepared, settled)
    }

    /// Appends the markers of a decided transaction where they are missing and `needed`.
    pub(super) fn write_markers(
        &self,
        place: &Place,
        prepared: &Transaction,
        needed: impl Fn(&Partition, &str, i32) -> bool,
    ) -> Vec<Marked> {
        let Some(commits) = prepared.state.prepared() else {
            return Vec::new();
        };
        let unmarked = place.lock().unmarked.clone();
        let write = |topic: &str, index| {
            let partition = self.topics.partition(topic, index);
            let known = partition.as_ref();
            if known.is_some_and(|partition| !needed(partition, topic, index)) {
                return Ok(None);
            }
            match self.mark(topic, index, prepared.producer, commits, None) {
                Ok(written) => Ok(Some(written)),
                // Its records went with it.
                Err(ErrorCode::UnknownTopicOrPartition) => Ok(None),
                Err(error @ ErrorCode::InvalidProducerEpoch) => {
                    tracing::warn!(transactional_id = &*place.id, topic, partition = index, %error,
                        "a partition knows of a later epoch: left without a marker");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let mut marked = Vec::new();
        for (topic, partitions) in &unmarked {
            for index in partitions {
                marked.push((Arc::clone(topic), *index, write(topic, *index)));
            }
        }
        marked
    }

    /// Notes which markers are on disk, and says so in the journal when all are.
    pub(super) fn settle(
        &self,
        place: &Place,
        prepared: &Transaction,
        marked: Vec<(Arc<str>, i32, Result<(), ErrorCode>)>,
    ) -> Result<(), ErrorCode> {
        let mut failed = Ok(());
        let mut unmarked = Partitions::new();
        for (topic, index, result) in marked {
            if result.is_err() {
                failed = result;
                unmarked.entry(topic).or_default().insert(index);
            }
        }
        let mut slot = place.lock();
        slot.unmarked = unmarked;
        failed?;
        let Some(next) = prepared.complete(now_ms()) else {
            return Ok(());
        };
        place.become_next(&mut slot, next)?;
        slot.unsettled = prepared.keeps_epoch().then_some(slot.written);
        drop(slot);
        let counts = &self.counts;
        let count = match prepared.state.prepared() {
            Some(true) => &counts.committed,
            _ => &counts.aborted,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Appends one marker, of this coordinator or of the one with that epoch (WriteTxnMarkers).
    pub fn mark(
        &self,
        topic: &str,
        index: i32,
        producer: Identity,
        commits: bool,
        coordinator_epoch: Option<i32>,
    ) -> Result<Written, ErrorCode> {
        if producer.id < 0 || producer.epoch < 0 {
            return Err(ErrorCode::InvalidRequest);
        }
        let partition = self.topics.partition(topic, index);
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let marker = Marker {
            commits,
            // A log that was Apache Kafka's knows of later coordinators than this one.
            coordinator_epoch: coordinator_epoch
                .unwrap_or_else(|| known_epoch(&partition, producer.id)),
        };
        let batch = marker.batch(producer.id, producer.epoch, now_ms());
        let appended = partition.append(&batch, Origin::Internal);
        let appended = appended.map_err(|error| marker_error(&error))?;
        if topic == group::TOPIC {
            self.groups.transaction_ended(index, producer.id, commits);
        }
        Ok(Written {
            journal: Journal::new(partition),
            offset: appended.last_offset,
        })
    }
}

fn known_epoch(partition: &Partition, producer_id: i64) -> i32 {
    let known = partition.log.producer(producer_id);
    known.map_or(COORDINATOR_EPOCH, |it| {
        it.coordinator_epoch.max(COORDINATOR_EPOCH)
    })
}

fn marker_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::FencedProducer { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::FencedCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
        // The broker stops, or the topic is being deleted: whoever comes again finds out which.
        AppendError::Closed => ErrorCode::NotLeaderOrFollower,
        _ => ErrorCode::KafkaStorageError,
    }
}
