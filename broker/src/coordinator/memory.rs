//! How much memory a coordinator takes for what clients make it keep, and whether there is room for
//! more.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The memory of one coordinator.
#[derive(Debug)]
pub struct Memory {
    bytes: AtomicUsize,
    limit: usize,
    /// What it is taken for.
    what: &'static str,
    told: AtomicBool,
}

impl Memory {
    /// Room for so many bytes.
    pub fn new(what: &'static str, limit: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            limit,
            what,
            told: AtomicBool::new(false),
        }
    }

    /// Bytes that are taken.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that are left.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes())
    }

    /// Takes so many bytes if they fit in, and tells whether they do. Nothing always does.
    pub fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|it| *it <= self.limit);
        let order = Ordering::Relaxed;
        bytes == 0 || self.bytes.fetch_update(order, order, fits).is_ok()
    }

    /// Gives so many bytes back.
    pub fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.room() > self.limit / 8 {
            self.told.store(false, Ordering::Relaxed);
        }
    }

    /// Counts something that was `counted` before as `bytes` from now on, whether they fit in or not.
    pub fn recount(&self, counted: &mut usize, bytes: usize) {
        let before = std::mem::replace(counted, bytes);
        if bytes >= before {
            self.bytes.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.give_back(before - bytes);
        }
    }

    /// Says that something was refused, once for each time that there is no room.
    pub fn tell_refusal(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                bytes = self.bytes(),
                limit = self.limit,
                "no memory is left for {}: what would be new is refused",
                self.what
            );
        }
    }
}
