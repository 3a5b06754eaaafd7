//! The wait of a fetch for enough bytes, its deadline, or the end of the broker.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::plan::{Asked, Found, Limits, Plan};

/// How long and for how much a fetch waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From now on.
    pub max_wait: Duration,
    /// Bytes that end the wait.
    pub min_bytes: usize,
}

/// Reads until there are `min_bytes`, an error, or the time is up; then gives the last look. It is
/// asked once whether it `may_wait`.
pub async fn wait_for(
    asked: &Arc<Asked>,
    limits: Limits,
    patience: Patience,
    may_wait: impl FnOnce() -> bool,
    mut stopping: watch::Receiver<bool>,
) -> Plan {
    let mut plan = look(asked, limits).await;
    if plan.urgent || plan.bytes >= patience.min_bytes || patience.max_wait.is_zero() {
        return plan;
    }
    if !may_wait() {
        plan.could_not_wait = true;
        return plan;
    }
    drop(plan);
    let deadline = Instant::now() + patience.max_wait;
    let wake = Arc::new(Notify::new());
    loop {
        // Registered before the offsets are looked at again: an append in between is not missed.
        let found = asked.found.iter();
        let places = found.filter_map(|found| match found {
            Found::Here(_, partition) => Some(partition.register(&wake)),
            Found::Missing(_) => None,
        });
        let _places: Vec<_> = places.collect();
        let plan = look(asked, limits).await;
        if plan.urgent || plan.bytes >= patience.min_bytes {
            return plan;
        }
        drop(plan);
        let timed_out = tokio::select! {
            () = wake.notified() => false,
            () = sleep_until(deadline) => true,
            _ = stopping.wait_for(|stop| *stop) => true,
        };
        if timed_out {
            return look(asked, limits).await;
        }
    }
}

/// Reads, on a thread that may block if it is likely to.
async fn look(asked: &Arc<Asked>, limits: Limits) -> Plan {
    if !Plan::would_block(asked, limits) {
        return Plan::read(asked, limits);
    }
    let there = Arc::clone(asked);
    let read = tokio::task::spawn_blocking(move || Plan::read(&there, limits));
    // Only the end of the process makes it fail.
    read.await.unwrap_or_else(|_| Plan::read(asked, limits))
}
