//! How transactions are doing.
use super::page::Page;
use crate::broker::Broker;

/// Writes the states that transactional ids are in, how transactions ended, how long the oldest
/// has been open, and what they take of memory.
pub fn write(page: &mut Page, broker: &Broker) {
    let totals = broker.transactions.totals();
    let mut by_state = page.gauge("klamm_transactions", "Transactional ids by state.");
    for (state, count) in &totals.by_state {
        by_state.sample(&[("state", state.name())], count);
    }
    let mut ended = page.counter("klamm_transactions_ended_total", "Transactions that ended.");
    ended.sample(&[("result", "committed")], totals.committed);
    ended.sample(&[("result", "aborted")], totals.aborted);
    let mut timed_out = page.counter(
        "klamm_transactions_timed_out_total",
        "Transactions that were aborted because they were open for too long.",
    );
    timed_out.sample(&[], totals.timed_out);
    let mut oldest = page.gauge(
        "klamm_transaction_oldest_open_seconds",
        "How long the oldest open transaction has been open.",
    );
    oldest.sample(&[], totals.oldest_open_ms as f64 / 1000.0);
    let mut memory = page.gauge(
        "klamm_transactions_memory_bytes",
        "Memory of transactional ids and their open transactions, as far as it is bounded.",
    );
    memory.sample(&[], broker.transactions.memory_bytes());
}
