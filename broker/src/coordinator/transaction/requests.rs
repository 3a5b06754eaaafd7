//! What handlers ask of the transactions. Each takes effect before its first await, unless a new
//! producer id has to be fetched for it.
use std::sync::Arc;
use std::time::Duration;

use protocol::error::ErrorCode;

use super::state::{End, Identity, Init, Refused, Transaction};
use super::transactions::{Place, Slot, Transactions, Written};
use super::{EPOCH_PER_TRANSACTION, memory};
use crate::partition::now_ms;

/// How long an EndTxn waits for its markers. They go on after that, and whoever begins the next
/// transaction is told CONCURRENT_TRANSACTIONS.
const MARKERS_WAIT: Duration = Duration::from_secs(5);
/// Longest transactional id: it stands in the journal as a string of 16 bits.
const ID_BYTES: usize = i16::MAX as usize;

/// Where a batch of a transaction goes, and what its client knows of transactions.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Index of the partition.
    pub partition: i32,
    /// The partition joins the transaction by this (KIP-890), else it must be part of it.
    pub joins: bool,
}

fn check_id(id: &str) -> Result<(), ErrorCode> {
    if id.is_empty() || id.len() > ID_BYTES {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

impl Transactions {
    /// InitProducerId of a transactional id. `expected` is who the client is (KIP-360).
    pub async fn init(
        self: &Arc<Self>,
        id: &str,
        timeout_ms: i32,
        expected: Option<Identity>,
    ) -> Result<Identity, ErrorCode> {
        check_id(id)?;
        if !(1..=self.settings.transaction_max_timeout_ms).contains(&timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let mut spare = None;
        let (place, aborting, written, producer) = loop {
            // Before it has a place, which nobody would take away if this went no further.
            if spare.is_none() && self.find(id).is_none() {
                if memory::of_id(id) > self.memory.room() {
                    return Err(memory::refused(&self.memory));
                }
                spare = Some(self.producer_ids.next().await?);
            }
            let place = self.find_or_create(id)?;
            match init_at(&place, timeout_ms, expected, spare) {
                Ok(Some((aborting, written, producer))) => {
                    break (place, aborting, written, producer);
                }
                Ok(None) => self.forget(&place),
                Err(refused) => {
                    self.forget_unused(&place);
                    match refused {
                        Refused::Error(error) => return Err(error),
                        Refused::NeedsProducerId => spare = Some(self.producer_ids.next().await?),
                    }
                }
            }
        };
        if aborting {
            tracing::info!(transactional_id = id, "aborted for another producer");
            // It goes to its end whoever still listens.
            self.end_everywhere(&place);
            written.durable().await?;
            return Err(ErrorCode::ConcurrentTransactions);
        }
        written.durable().await?;
        Ok(producer)
    }

    /// AddPartitionsToTxn.
    pub async fn add(
        &self,
        id: &str,
        who: Identity,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<(), ErrorCode> {
        check_id(id)?;
        let written = self.with(id, |place, slot, transaction| {
            if let Some(next) = transaction.add(who, partitions, 0, now_ms())? {
                place.become_next(slot, next)?;
            }
            Ok(place.last_written(slot))
        })?;
        written.durable().await
    }

    /// Whether all these partitions are in the transaction: one answer each.
    pub fn verify(
        &self,
        id: &str,
        who: Identity,
        partitions: &[(Arc<str>, i32)],
    ) -> Vec<Result<(), ErrorCode>> {
        let admit = |topic: &str, partition| {
            check_id(id)?;
            self.with(id, |_, _, transaction| {
                transaction.admits(who, topic, partition)
            })
        };
        let admitted = partitions.iter();
        admitted.map(|(topic, it)| admit(topic, *it)).collect()
    }

    /// Lets `write` write in the transaction, if `who` may. The transactional id is locked
    /// meanwhile, so that the transaction does not end in between; `write` must not wait. Returns
    /// the entry too that says that the partition is in the transaction: what was written counts
    /// when both are on disk. Until it is on disk that the transaction before is complete, one with
    /// the same epoch writes nothing: its markers could be written again after a loss of power, and
    /// would end this one. Clients that wait for AddPartitionsToTxn never notice, since that waits
    /// for a later entry of the same journal.
    pub fn within<R>(
        &self,
        id: &str,
        who: Identity,
        target: Target<'_>,
        write: impl FnOnce() -> R,
    ) -> Result<(R, Written), ErrorCode> {
        check_id(id)?;
        self.with(id, |place, slot, transaction| {
            let admitted = transaction.admits(who, target.topic, target.partition);
            let joins = target.joins && admitted == Err(ErrorCode::TransactionAbortable);
            if !joins {
                admitted?;
            }
            if let Some(complete) = slot.unsettled {
                if !place.journal.is_durable(complete) {
                    return Err(ErrorCode::ConcurrentTransactions);
                }
                slot.unsettled = None;
            }
            if joins {
                let added = [(Arc::from(target.topic), target.partition)];
                let next = transaction.add(who, &added, EPOCH_PER_TRANSACTION, now_ms())?;
                if let Some(next) = next {
                    place.become_next(slot, next)?;
                }
            }
            Ok((write(), place.last_written(slot)))
        })
    }

    /// EndTxn by a client of this version of transactions. Returns who the producer is from now on.
    pub async fn end(
        self: &Arc<Self>,
        id: &str,
        who: Identity,
        commits: bool,
        version: i16,
    ) -> Result<Identity, ErrorCode> {
        check_id(id)?;
        let mut spare = None;
        let (place, written, producer) = loop {
            let decided = self.with(id, |place, slot, transaction| {
                let end = match transaction.end(who, commits, version, spare, now_ms()) {
                    Err(Refused::Error(error)) => return Err(error),
                    Err(Refused::NeedsProducerId) => return Ok(None),
                    Ok(end) => end,
                };
                let (end, producer) = match end {
                    End::Done(producer) => (None, producer),
                    End::Prepared(next, producer) => {
                        place.become_next(slot, next)?;
                        (Some(Arc::clone(place)), producer)
                    }
                };
                Ok(Some((end, place.last_written(slot), producer)))
            })?;
            match decided {
                Some(decided) => break decided,
                None => spare = Some(self.producer_ids.next().await?),
            }
        };
        // From here on it goes to its end whoever still listens.
        let ending = place.map(|place| self.end_everywhere(&place));
        written.durable().await?;
        if let Some(ending) = ending {
            // Late is no error: the decision stands.
            let _ = tokio::time::timeout(MARKERS_WAIT, ending).await;
        }
        Ok(producer)
    }

    /// Locks a transactional id that is there.
    fn with<R>(
        &self,
        id: &str,
        act: impl FnOnce(&Arc<Place>, &mut Slot, &Transaction) -> Result<R, ErrorCode>,
    ) -> Result<R, ErrorCode> {
        let place = self.find(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let mut slot = place.lock();
        let transaction = slot.transaction.clone();
        let transaction = transaction.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        act(&place, &mut slot, &transaction)
    }
}

/// Returns whether the open transaction is being aborted, what has to be on disk, and who the
/// producer is; `None` if the transactional id was forgotten in between.
fn init_at(
    place: &Place,
    timeout_ms: i32,
    expected: Option<Identity>,
    spare: Option<i64>,
) -> Result<Option<(bool, Written, Identity)>, Refused> {
    let mut slot = place.lock();
    if slot.dead {
        return Ok(None);
    }
    let now = now_ms();
    let init = if let Some(transaction) = &slot.transaction {
        transaction.init(timeout_ms, expected, spare, now)?
    } else {
        let id = spare.ok_or(Refused::NeedsProducerId)?;
        Transaction::new(id, timeout_ms, now).init(timeout_ms, expected, None, now)?
    };
    let (aborting, next) = match init {
        Init::Next(next) => (false, next),
        Init::Aborting(next) => (true, next),
    };
    let producer = next.producer;
    place.become_next(&mut slot, next)?;
    Ok(Some((aborting, place.last_written(&slot), producer)))
}
