//! Transactional ids as they are shown to others: DescribeTransactions, ListTransactions, metrics.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pattern::Pattern;
use super::state::{Identity, Partitions, State};
use super::transactions::Transactions;
use crate::partition::now_ms;

/// A transactional id.
#[derive(Debug, Clone)]
pub struct Described {
    /// The id.
    pub id: Arc<str>,
    /// Who may write under it.
    pub producer: Identity,
    /// Its state.
    pub state: State,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// When the transaction began, epoch ms; -1 without one.
    pub started_ms: i64,
    /// What is in it.
    pub partitions: Partitions,
}

/// Which transactional ids are asked for; all of those that every filter lets through.
#[derive(Debug, Default)]
pub struct Filter {
    /// In one of these states; empty for any.
    pub states: Vec<State>,
    /// Of one of these producers; empty for any.
    pub producer_ids: Vec<i64>,
    /// Begun longer ago than this; negative for any.
    pub longer_than_ms: i64,
    /// With an id like this.
    pub pattern: Option<Pattern>,
}

/// All that is counted of transactions.
#[derive(Debug, Default)]
pub struct Totals {
    /// Transactional ids by state.
    pub by_state: BTreeMap<State, u64>,
    /// Committed since the start.
    pub committed: u64,
    /// Aborted since the start, for whatever reason.
    pub aborted: u64,
    /// Of these because their time was up.
    pub timed_out: u64,
    /// How long the oldest open transaction has been open.
    pub oldest_open_ms: i64,
}

impl Filter {
    fn lets_through(&self, described: &Described, now_ms: i64) -> bool {
        let of_producer =
            self.producer_ids.is_empty() || self.producer_ids.contains(&described.producer.id);
        let in_state = self.states.is_empty() || self.states.contains(&described.state);
        let long = self.longer_than_ms < 0
            || now_ms.saturating_sub(described.started_ms) > self.longer_than_ms;
        let pattern = self.pattern.as_ref();
        let like = pattern.is_none_or(|pattern| pattern.matches(&described.id));
        of_producer && in_state && long && like
    }
}

impl Transactions {
    /// DescribeTransactions, for one id.
    pub fn describe(&self, id: &str) -> Option<Described> {
        let place = self.find(id)?;
        let slot = place.lock();
        let it = slot.transaction.as_ref()?;
        Some(Described {
            id: Arc::clone(&place.id),
            producer: it.producer,
            state: it.state,
            timeout_ms: it.timeout_ms,
            started_ms: it.started_ms,
            partitions: it.partitions.clone(),
        })
    }

    /// ListTransactions, by id.
    pub fn list(&self, filter: &Filter) -> Vec<Described> {
        let now = now_ms();
        let all = self.all();
        let described = all.iter().filter_map(|place| self.describe(&place.id));
        let mut listed: Vec<_> = described
            .filter(|described| filter.lets_through(described, now))
            .collect();
        listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        listed
    }

    /// For metrics.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            by_state: State::ALL.map(|state| (state, 0)).into(),
            committed: self.counts.committed.load(Ordering::Relaxed),
            aborted: self.counts.aborted.load(Ordering::Relaxed),
            timed_out: self.counts.timed_out.load(Ordering::Relaxed),
            oldest_open_ms: 0,
        };
        let now = now_ms();
        for place in self.all() {
            let slot = place.lock();
            let Some(transaction) = &slot.transaction else {
                continue;
            };
            *totals.by_state.entry(transaction.state).or_default() += 1;
            if transaction.state == State::Ongoing {
                let open_ms = now.saturating_sub(transaction.started_ms);
                totals.oldest_open_ms = totals.oldest_open_ms.max(open_ms);
            }
        }
        totals
    }
}
