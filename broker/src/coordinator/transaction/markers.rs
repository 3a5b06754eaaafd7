//! Ending a transaction in all that it wrote to. The order, each step on disk before the next:
//! 1. the decision, in the journal (Prepare);
//! 2. a marker in every partition;
//! 3. that it is done, in the journal (Complete).
//!
//! A crash before 1 leaves the transaction open, and it times out. After 1 the markers are written
//! again at the next start: a second marker ends nothing. Until 3 nobody begins another transaction
//! under this id.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::error::ErrorCode;
use storage::{AppendError, Marker, Origin};
use tokio::task::JoinHandle;

use super::COORDINATOR_EPOCH;
use super::state::{Identity, Transaction};
use super::transactions::{Place, Transactions, Written};
use crate::coordinator::{Journal, group};
use crate::partition::{Partition, now_ms};

impl Transactions {
    /// Ends what was decided, on a task of its own.
    pub(super) fn end_everywhere(self: &Arc<Self>, place: &Arc<Place>) -> JoinHandle<()> {
        let (transactions, place) = (Arc::clone(self), Arc::clone(place));
        let (prepared, written) = {
            let mut slot = place.lock();
            let busy = std::mem::replace(&mut slot.ending, true);
            let prepared = slot.transaction.clone().filter(|_| !busy);
            (prepared, place.last_written(&slot))
        };
        tokio::spawn(async move {
            let Some(prepared) = prepared else { return };
            let ended = transactions.end_and_settle(&place, &prepared, &written);
            if let Err(error) = ended.await {
                tracing::warn!(transactional_id = &*place.id, %error,
                    "the markers of a transaction are not written yet");
                place.lock().ending = false;
            }
        })
    }

    async fn end_and_settle(
        &self,
        place: &Place,
        prepared: &Transaction,
        written: &Written,
    ) -> Result<(), ErrorCode> {
        written.durable().await?;
        for marker in self.write_markers(&place.id, prepared)? {
            marker.durable().await?;
        }
        self.complete(place, prepared)
    }

    /// Appends the markers of a decided transaction.
    pub(super) fn write_markers(
        &self,
        id: &str,
        prepared: &Transaction,
    ) -> Result<Vec<Written>, ErrorCode> {
        let Some(commits) = prepared.state.prepared() else {
            return Ok(Vec::new());
        };
        let mut markers = Vec::new();
        for (topic, partitions) in &prepared.partitions {
            for index in partitions {
                match self.mark(topic, *index, prepared.producer, commits, None) {
                    Ok(written) => markers.push(written),
                    // Its records went with it.
                    Err(ErrorCode::UnknownTopicOrPartition) => {}
                    Err(error @ ErrorCode::InvalidProducerEpoch) => {
                        tracing::warn!(transactional_id = id, topic = &**topic, partition = index,
                            %error, "a partition knows of a later epoch: left without a marker");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(markers)
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

    /// All markers are on disk: says so in the journal.
    pub(super) fn complete(&self, place: &Place, prepared: &Transaction) -> Result<(), ErrorCode> {
        let mut slot = place.lock();
        if slot.transaction.as_ref() != Some(prepared) {
            return Ok(());
        }
        slot.ending = false;
        let Some(next) = prepared.complete(now_ms()) else {
            return Ok(());
        };
        place.become_next(&mut slot, next)?;
        drop(slot);
        let counts = &self.counts;
        let count = match prepared.state.prepared() {
            Some(true) => &counts.committed,
            _ => &counts.aborted,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
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
