//! Transactions after a restart, before anybody is listened to.
//!
//! What was decided is ended. What a log holds open and the coordinator knows nothing of is aborted:
//! the loss of power can take the entry that says that a partition is in a transaction, and keep
//! what was written to the partition. Nobody was told that either was safe.
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use config::Settings;

use super::state::{Identity, State, Transaction};
use super::transactions::{Place, Transactions};
use super::{TOPIC, formats};
use crate::coordinator::{Groups, Journal, JournalError};
use crate::metadata::{ProducerIds, Topics};
use crate::partition::now_ms;

impl Transactions {
    /// Loads all transactional ids, ends what was decided, and aborts what nobody will end.
    pub fn open(
        settings: &Arc<Settings>,
        topics: Arc<Topics>,
        groups: Arc<Groups>,
        producer_ids: Arc<ProducerIds>,
    ) -> anyhow::Result<Arc<Self>> {
        let transactions = Self::new(settings, topics, groups, producer_ids);
        let mut whole = true;
        for (index, journal) in transactions.existing_journals().iter().enumerate() {
            let loaded = transactions.load(journal);
            whole &= loaded.with_context(|| format!("cannot replay {TOPIC}-{index}"))?;
        }
        for place in transactions.all() {
            transactions.resume(&place);
        }
        if whole {
            transactions.abort_unknown();
        }
        Ok(Arc::new(transactions))
    }

    /// Returns whether every record could be read.
    fn load(&self, journal: &Journal) -> Result<bool, JournalError> {
        let mut whole = true;
        journal.replay(|key, value, _| {
            let applied = formats::read_key(key).and_then(|id| {
                let transaction = value.map(formats::read).transpose()?;
                Ok((id, transaction))
            });
            match applied {
                Ok((id, transaction)) => {
                    let place = Place::new(id.as_str().into(), journal.clone(), None);
                    self.put(Arc::new(place)).lock().transaction = transaction;
                }
                Err(error) => {
                    whole = false;
                    tracing::error!(%error, "skipped a record of the transactions' journal");
                }
            }
        })?;
        for place in self.all() {
            if place.lock().transaction.is_none() {
                self.forget(&place);
            }
        }
        Ok(whole)
    }

    fn resume(&self, place: &Place) {
        let mut slot = place.lock();
        let Some(transaction) = slot.transaction.clone() else {
            return;
        };
        if transaction.state == State::Ongoing {
            slot.deadline = Some(Instant::now() + time_left(&transaction));
        }
        drop(slot);
        if transaction.state.prepared().is_none() {
            return;
        }
        let ended = self
            .write_markers(&place.id, &transaction)
            .and_then(|markers| {
                for marker in markers {
                    let flushed = marker.journal.flush();
                    flushed.map_err(|error| {
                        tracing::error!(%error, "cannot flush a marker");
                        protocol::error::ErrorCode::KafkaStorageError
                    })?;
                }
                self.complete(place, &transaction)
            });
        match ended {
            Ok(()) => tracing::info!(
                transactional_id = &*place.id,
                state = transaction.state.name(),
                "ended a transaction that was decided before the restart"
            ),
            // It is tried again with the timeouts.
            Err(error) => tracing::error!(transactional_id = &*place.id, %error,
                "cannot end a transaction that was decided before the restart"),
        }
    }

    /// Aborts the transactions that logs hold open and the coordinator does not.
    fn abort_unknown(&self) {
        let known: Vec<Transaction> = self
            .all()
            .iter()
            .filter_map(|place| place.lock().transaction.clone())
            .filter(|it| it.state == State::Ongoing || it.state.prepared().is_some())
            .collect();
        for topic in self.topics.all() {
            for partition in topic.partitions().iter() {
                if !partition.log.has_open_transactions() {
                    continue;
                }
                for open in partition.log.producers() {
                    let is_known = known.iter().any(|it| {
                        it.producer.id == open.producer_id
                            && it
                                .partitions
                                .get(&topic.name)
                                .is_some_and(|partitions| partitions.contains(&partition.index))
                    });
                    if open.transaction_start_offset < 0 || is_known {
                        continue;
                    }
                    let producer = Identity {
                        id: open.producer_id,
                        epoch: open.producer_epoch,
                    };
                    let aborted = self.mark(&topic.name, partition.index, producer, false, None);
                    tracing::warn!(
                        topic = &*topic.name,
                        partition = partition.index,
                        producer_id = producer.id,
                        offset = open.transaction_start_offset,
                        aborted = aborted.is_ok(),
                        "a transaction was open that nobody knows of"
                    );
                }
            }
        }
    }
}

/// By the wall clock, the only one that goes on while nothing runs.
fn time_left(transaction: &Transaction) -> Duration {
    let timeout_ms = i64::from(transaction.timeout_ms).max(0);
    let passed_ms = now_ms().saturating_sub(transaction.started_ms);
    Duration::from_millis(timeout_ms.saturating_sub(passed_ms.max(0)).max(0) as u64)
}
