//! When which group has to be looked at. One task sleeps until the earliest time of all.
//!
//! A time is only a hint: the deadlines themselves lie in the group and its members, behind the
//! group's mutex, so a time that is out of date finds nothing to do. A heartbeat moves its member's
//! deadline and touches nothing here; when the group's time comes, the group is looked through once
//! and says when to come back.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::partition;

/// This moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Milliseconds since the coordinator started; never jumps.
    pub ticks_ms: u64,
    /// Epoch milliseconds, for what is written down: as the wall clock was when the coordinator
    /// started, so that offsets do not expire when it is set.
    pub wall_ms: i64,
}

/// Tells what time it is.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    started_ms: i64,
}

impl Clock {
    /// Starts at zero.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            started_ms: partition::now_ms(),
        }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let ticks_ms = self.started.elapsed().as_millis() as u64;
        Now {
            ticks_ms,
            wall_ms: self.started_ms.saturating_add_unsigned(ticks_ms),
        }
    }

    /// The moment at which `ticks_ms` will have passed.
    pub fn at(&self, ticks_ms: u64) -> tokio::time::Instant {
        (self.started + std::time::Duration::from_millis(ticks_ms)).into()
    }
}

/// At most one time for each group.
#[derive(Debug, Default)]
pub struct Timers {
    times: Mutex<BTreeSet<(u64, Arc<str>)>>,
    /// Told when an earlier time than all others was set.
    pub earlier: Notify,
}

impl Timers {
    /// Moves the time of a group.
    pub fn set(&self, group: &Arc<str>, old: Option<u64>, new: Option<u64>) {
        let mut times = self.lock();
        if let Some(old) = old {
            times.remove(&(old, Arc::clone(group)));
        }
        if let Some(new) = new {
            let earliest = times.first().is_none_or(|(first, _)| new < *first);
            times.insert((new, Arc::clone(group)));
            if earliest {
                self.earlier.notify_one();
            }
        }
    }

    /// The earliest time of all.
    pub fn next(&self) -> Option<u64> {
        self.lock().first().map(|(time, _)| *time)
    }

    /// Takes out the groups whose time has come, with that time.
    pub fn take_due(&self, ticks_ms: u64) -> Vec<(u64, Arc<str>)> {
        let mut times = self.lock();
        let mut due = Vec::new();
        while times.first().is_some_and(|(time, _)| *time <= ticks_ms) {
            due.extend(times.pop_first());
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(u64, Arc<str>)>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
