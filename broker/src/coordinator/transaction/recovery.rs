//! Transactions after a restart, before anybody is listened to.
//!
//! What was decided is ended. What a log holds open and the coordinator knows nothing of is aborted:
//! the loss of power can take the entry that says that a partition is in a transaction, and keep
//! what was written to the partition. Nobody was told that either was safe.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use config::Settings;
use protocol::error::ErrorCode;
use storage::ProducerInfo;

use super::state::{Identity, State, Transaction};
use super::transactions::{Place, Transactions, Written};
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
        for (index, journal) in transactions.journals.existing().iter().enumerate() {
            let loaded = transactions.load(journal);
            whole &= loaded.with_context(|| format!("cannot replay {TOPIC}-{index}"))?;
        }
        for place in transactions.all() {
            transactions.forget_unused(&place);
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
                    let place = self.place(&id, journal.clone());
                    let place = self.put(Arc::new(place));
                    place.load(&mut place.lock(), transaction);
                }
                Err(error) => {
                    whole = false;
                    tracing::error!(%error, "skipped a record of the transactions' journal");
                }
            }
        })?;
        Ok(whole)
    }

    fn resume(&self, place: &Place) {
        let mut slot = place.lock();
        let Some(transaction) = slot.transaction.clone() else {
            return;
        };
        let unused = Duration::from_millis(passed_ms(transaction.updated_ms));
        if let Some(changed) = slot.changed.checked_sub(unused) {
            slot.changed = changed;
        }
        if transaction.state == State::Ongoing {
            slot.deadline = Some(Instant::now() + time_left(&transaction));
        }
        drop(slot);
        if transaction.state.prepared().is_none() {
            return;
        }
        // What is there already is on disk: the start has seen to that.
        let marked = self.write_markers(place, &transaction, |partition, topic, index| {
            let open = partition.log.producer(transaction.producer.id);
            open.and_then(|it| open_of(&it))
                .is_some_and(|open| transaction.holds(open, topic, index))
        });
        let flushed = marked.into_iter().map(|(topic, index, marked)| {
            let flushed = marked.and_then(|written| written.map_or(Ok(()), |it| flush(&it)));
            (topic, index, flushed)
        });
        match self.settle(place, &transaction, flushed.collect()) {
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
        let all = self.all();
        let all = all
            .iter()
            .filter_map(|place| place.lock().transaction.clone());
        let known: HashMap<i64, _> = all.map(|it| (it.producer.id, it)).collect();
        for topic in self.topics.all() {
            for partition in topic.partitions().iter() {
                if !partition.log.has_open_transactions() {
                    continue;
                }
                for producer in partition.log.producers() {
                    let Some(open) = open_of(&producer) else {
                        continue;
                    };
                    let known = known.get(&open.id);
                    if known.is_some_and(|it| it.holds(open, &topic.name, partition.index)) {
                        continue;
                    }
                    // Its marker was on disk, and is lost to damage.
                    let commits = known.is_some_and(|it| it.has_committed(open));
                    let fenced = Identity {
                        // So that its client, if it asks again for an answer that it never got, is
                        // refused, and aborts: with the same epoch it would be told that its batch
                        // is a duplicate of one that stands, and would commit without it.
                        epoch: open.epoch.saturating_add(1),
                        ..open
                    };
                    let marked = self.mark(&topic.name, partition.index, fenced, commits, None);
                    tracing::warn!(
                        topic = &*topic.name,
                        partition = partition.index,
                        producer_id = open.id,
                        offset = producer.transaction_start_offset,
                        commits,
                        marked = marked.is_ok(),
                        "a log held a transaction open that is not"
                    );
                }
            }
        }
    }
}

/// Whose batches a log holds open, if it does.
fn open_of(producer: &ProducerInfo) -> Option<Identity> {
    (producer.transaction_start_offset >= 0).then_some(Identity {
        id: producer.producer_id,
        epoch: producer.producer_epoch,
    })
}

fn flush(written: &Written) -> Result<(), ErrorCode> {
    written.journal.flush().map_err(|error| {
        tracing::error!(%error, "cannot flush a marker");
        ErrorCode::KafkaStorageError
    })
}

fn time_left(transaction: &Transaction) -> Duration {
    let timeout_ms = u64::try_from(transaction.timeout_ms).unwrap_or(0);
    Duration::from_millis(timeout_ms.saturating_sub(passed_ms(transaction.started_ms)))
}

/// By the wall clock, the only one that goes on while nothing runs.
fn passed_ms(since_ms: i64) -> u64 {
    u64::try_from(now_ms().saturating_sub(since_ms)).unwrap_or(0)
}
