//! Who waits for a partition's offsets to move.
//!
//! No wake-up is missed: a waiter registers *before* it looks at the offsets again, an append moves
//! the offsets before it looks whether anybody is registered, and a full fence stands between the
//! two steps on either side. (KAFKA-8334 was the other order.)
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What a waiter is woken with: a [`Notify`] by fetches, a [`super::Bell`] by plain threads. It keeps
/// a wake-up that comes before the wait.
pub trait Wake: Debug + Send + Sync + 'static {
    /// Wakes whoever waits; must not block.
    fn wake(&self);
}

impl Wake for Notify {
    fn wake(&self) {
        self.notify_one();
    }
}

/// Who waits for one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_number: HashMap<u64, Arc<dyn Wake>>,
}

/// A place among the waiters; dropping it gives the place up.
#[derive(Debug)]
pub struct Registration<'a> {
    waiters: &'a Waiters,
    number: u64,
}

impl Waiters {
    /// Registers `wake` to be woken once, at the next change.
    pub fn register<W: Wake>(&self, wake: &Arc<W>) -> Registration<'_> {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        let wake: Arc<dyn Wake> = Arc::clone(wake) as _;
        waiting.by_number.insert(number, wake);
        self.count.store(waiting.by_number.len(), Ordering::Relaxed);
        drop(waiting);
        fence(Ordering::SeqCst);
        Registration {
            waiters: self,
            number,
        }
    }

    /// Wakes all that are registered; they register again if they have to wait on.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let woken = {
            let mut waiting = self.lock();
            self.count.store(0, Ordering::Relaxed);
            std::mem::take(&mut waiting.by_number)
        };
        for wake in woken.into_values() {
            wake.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        waiting.by_number.remove(&self.number);
        self.waiters
            .count
            .store(waiting.by_number.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_between_registration_and_waiting_is_kept() {
        let waiters = Waiters::default();
        let wake = Arc::new(Notify::new());
        let _place = waiters.register(&wake);
        waiters.wake();
        wake.notified().await;
    }

    #[test]
    fn dropping_gives_the_place_up() {
        let waiters = Waiters::default();
        let wake = Arc::new(Notify::new());
        let first = waiters.register(&wake);
        let second = waiters.register(&wake);
        drop(first);
        assert_eq!(waiters.count.load(Ordering::Relaxed), 1);
        drop(second);
        assert_eq!(waiters.count.load(Ordering::Relaxed), 0);
        assert!(waiters.lock().by_number.is_empty());
    }
}
