//! What time does to transactions: open ones are aborted when their time is up, markers that could
//! not be written are tried again, and ids that nobody uses are forgotten.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::formats;
use super::state::State;
use super::transactions::{Place, Transactions};
use crate::partition::now_ms;

impl Transactions {
    /// Keeps the time until the broker stops.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let every = |interval_ms: i32| {
            let interval_ms = u64::try_from(interval_ms).unwrap_or(1).max(1);
            let mut interval = tokio::time::interval(Duration::from_millis(interval_ms));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let settings = &self.settings;
        let mut due = every(settings.transaction_abort_timed_out_transaction_cleanup_interval_ms);
        let mut old = every(settings.transaction_remove_expired_transaction_cleanup_interval_ms);
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                _ = due.tick() => self.abort_due(),
                _ = old.tick() => self.forget_expired(),
            }
        }
    }

    fn abort_due(self: &Arc<Self>) {
        let now = Instant::now();
        for place in self.all() {
            if self.is_to_end(&place, now) {
                self.end_everywhere(&place);
            }
        }
    }

    /// Decides to abort a transaction whose time is up. Tells whether there are markers to write.
    fn is_to_end(&self, place: &Place, now: Instant) -> bool {
        let mut slot = place.lock();
        let Some(transaction) = &slot.transaction else {
            return false;
        };
        if transaction.state.prepared().is_some() {
            return true;
        }
        let due = slot.deadline.is_some_and(|deadline| deadline <= now);
        if transaction.state != State::Ongoing || !due {
            return false;
        }
        let (producer, next) = (transaction.producer, transaction.fence(now_ms()));
        // An error is logged where it happens; the next look tries again.
        let decided = place.become_next(&mut slot, next).is_ok();
        if decided {
            self.counts.timed_out.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                transactional_id = &*place.id,
                producer_id = producer.id,
                "aborted a transaction that was open for too long"
            );
        }
        decided
    }

    fn forget_expired(&self) {
        let expiration_ms = self.settings.transactional_id_expiration_ms;
        let expiration = Duration::from_millis(u64::try_from(expiration_ms).unwrap_or(0));
        for place in self.all() {
            let mut slot = place.lock();
            let expired = slot
                .transaction
                .as_ref()
                .is_some_and(|it| it.is_expired(slot.changed.elapsed(), expiration));
            if !expired
                || place
                    .journal
                    .append(&[formats::entry(&place.id, None)])
                    .is_err()
            {
                continue;
            }
            slot.transaction = None;
            slot.dead = true;
            drop(slot);
            self.forget(&place);
        }
    }
}
