//! What a plain thread waits with while it waits for partitions.
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use storage::AppendError;
use tokio::sync::watch;

use super::{Partition, Wake};

/// How often a thread that waits for the disk looks whether the broker stops. What it waits for wakes
/// it at once.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Wakes one thread. A ring is kept until the thread waits, so one that comes early is not missed;
/// several are one.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Wakes the thread that waits, or the next one that would.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Waits for a ring and takes it; `false` if none came in time.
    pub fn wait(&self, timeout: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .heard
            .wait_timeout_while(rung, timeout, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *{ waited.0 })
    }
}

impl Wake for Bell {
    fn wake(&self) {
        self.ring();
    }
}

impl Partition {
    /// As [`Self::durable`], for a thread that may block. Gives up with [`AppendError::Closed`] when
    /// the broker stops.
    pub fn durable_blocking(
        &self,
        last_offset: i64,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), AppendError> {
        let bell = Arc::new(Bell::default());
        let durability = self.signals.durability();
        self.log.request_flush();
        loop {
            let _place = self.signals.disk_waiters.register(&bell);
            let now = *durability.borrow();
            if let Some(settled) = now.covers(last_offset) {
                return settled;
            }
            if *stopping.borrow() {
                return Err(AppendError::Closed);
            }
            bell.wait(STOP_POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::partition::Waiters;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_ring_is_kept_and_taken_once() {
        let bell = Bell::default();
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }

    /// One thread moves an offset and wakes, the other registers, looks, and waits only if nothing
    /// moved. Each step of the first depends on the second having seen the one before: a single
    /// missed wake-up stops both.
    #[test]
    fn no_wake_up_of_a_thread_is_missed() {
        const STEPS: u64 = 20_000;
        let (waiters, end, seen) = (Waiters::default(), AtomicU64::new(0), AtomicU64::new(0));
        let (bell, answer) = (Arc::new(Bell::default()), Bell::default());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for step in 1..=STEPS {
                    end.store(step, Ordering::Release);
                    waiters.wake();
                    while seen.load(Ordering::Acquire) < step {
                        assert!(answer.wait(LONG), "the other thread sleeps at {step}");
                    }
                }
            });
            for step in 1..=STEPS {
                loop {
                    let _place = waiters.register(&bell);
                    if end.load(Ordering::Acquire) >= step {
                        break;
                    }
                    assert!(bell.wait(LONG), "missed the wake-up at {step}");
                }
                seen.store(step, Ordering::Release);
                answer.ring();
            }
        });
    }
}
