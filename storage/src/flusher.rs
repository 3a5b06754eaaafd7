//! Group commit: threads that make dirty logs durable. While a log is flushed, further requests for
//! it gather and are answered by one more flush; different logs flush side by side, because the
//! file system commits them together.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::hold::Hold;
use crate::{Log, StorageError};

/// How many logs are flushed at once.
const THREADS: usize = 8;
/// How long a flush that found no free descriptor waits before it is tried again.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

/// How often a shortage is told of.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Where a log is between a request and its flush. It is in the queue once at most, which bounds the
/// queue by the number of logs.
#[derive(Debug, Default)]
pub(crate) struct FlushState(AtomicU8);

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_AND_WANTED: u8 = 3;

impl FlushState {
    /// Notes a request. Tells whether the log must be put into the queue.
    fn request(&self) -> bool {
        let update = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(RUNNING_AND_WANTED),
            _ => None,
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update)
            == Ok(IDLE)
    }

    fn begin(&self) {
        self.0.store(RUNNING, Ordering::Release);
    }

    /// Ends a flush, which was in vain if it is wanted `again`. Tells whether the log must be put into
    /// the queue again.
    fn finish(&self, again: bool) -> bool {
        let update = |state| match state {
            RUNNING if !again => Some(IDLE),
            _ => Some(QUEUED),
        };
        let ended = (self.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        again || ended == Ok(RUNNING_AND_WANTED)
    }
}

#[derive(Debug, Default)]
struct Queue {
    logs: VecDeque<Arc<Log>>,
    stopped: bool,
}

/// The queue to the threads.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// When it was last said that descriptors are short.
    said_short: Mutex<Option<Instant>>,
}

impl Flusher {
    /// Has `log` flushed soon.
    pub(crate) fn submit(&self, log: Arc<Log>) {
        if log.flush_state.request() {
            let mut queue = self.queue.hold();
            if !queue.stopped {
                queue.logs.push_back(log);
                drop(queue);
                self.wake.notify_one();
            }
        }
    }

    /// Starts the threads; `observe` is told the seconds that each flush took.
    pub(crate) fn start(
        self: &Arc<Self>,
        observe: &Arc<dyn Fn(f64) + Send + Sync>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        (0..THREADS)
            .map(|i| {
                let (flusher, observe) = (Arc::clone(self), Arc::clone(observe));
                std::thread::Builder::new()
                    .name(format!("storage-flush-{i}"))
                    .spawn(move || flusher.run(observe.as_ref()))
            })
            .collect()
    }

    /// Lets the threads end once they are done with the log at hand.
    pub(crate) fn stop(&self) {
        let mut queue = self.queue.hold();
        queue.stopped = true;
        queue.logs.clear();
        self.wake.notify_all();
    }

    fn run(&self, observe: &(dyn Fn(f64) + Send + Sync)) {
        while let Some(log) = self.next() {
            self.flush(log, observe, SHORTAGE_PAUSE);
        }
    }

    /// Does on the caller's thread what is waiting.
    pub(crate) fn run_once(&self) {
        let logs = std::mem::take(&mut self.queue.hold().logs);
        for log in logs {
            self.flush(log, &|_| (), Duration::ZERO);
        }
    }

    fn flush(&self, log: Arc<Log>, observe: &(dyn Fn(f64) + Send + Sync), pause: Duration) {
        log.flush_state.begin();
        let began = Instant::now();
        let again = match log.flush() {
            Ok(()) => {
                observe(began.elapsed().as_secs_f64());
                false
            }
            Err(error) if error.is_shortage() && !log.is_poisoned() => {
                self.say_short(&error);
                std::thread::sleep(pause);
                true
            }
            // It has poisoned the log and was told.
            Err(_) => false,
        };
        if log.flush_state.finish(again) {
            let mut queue = self.queue.hold();
            if !queue.stopped {
                queue.logs.push_back(log);
            }
        }
    }

    /// Once in a while, however many logs wait.
    fn say_short(&self, error: &StorageError) {
        let mut said = self.said_short.hold();
        if said.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!(%error, "a flush waits for a free descriptor, and acks=all with it");
        }
    }

    fn next(&self) -> Option<Arc<Log>> {
        let mut queue = self.queue.hold();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(log) = queue.logs.pop_front() {
                return Some(log);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
