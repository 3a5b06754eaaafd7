//! How many bytes of requests may be in flight, over all connections.
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One permit stands for this many bytes.
const UNIT: usize = 1024;

/// The global budget. A connection that gets no share stops reading: its client feels back-pressure.
#[derive(Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u32,
}

/// What somebody holds of the budget; dropping it gives it back.
#[derive(Debug, Default)]
pub struct Share(Option<OwnedSemaphorePermit>);

/// A share that is waited for. Dropping it gives up the place in the queue.
pub type More = Pin<Box<dyn Future<Output = Share> + Send>>;

impl Share {
    /// Adds another share of the same budget.
    pub fn add(&mut self, more: Share) {
        match (&mut self.0, more.0) {
            (Some(held), Some(more)) => held.merge(more),
            (held, more) => *held = held.take().or(more),
        }
    }

    /// Takes out as much as covers `bytes`, or all there is.
    pub fn split(&mut self, bytes: usize) -> Share {
        let units = bytes.div_ceil(UNIT).max(1);
        match &mut self.0 {
            Some(held) if held.num_permits() > units => Share(held.split(units)),
            _ => std::mem::take(self),
        }
    }

    fn units(&self) -> u32 {
        let units = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Budget {
    /// A budget of `bytes`, rounded up to whole KiB.
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.div_ceil(UNIT))
            .unwrap_or(u32::MAX >> 3)
            .max(1);
        Self {
            units: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Makes `share` cover `bytes`, or all of the budget if they are more than that. If so much is
    /// not left now, gives what has to be waited for and added.
    pub fn raise(&self, share: &mut Share, bytes: usize) -> Option<More> {
        let missing = self.units_of(bytes).saturating_sub(share.units());
        if missing == 0 {
            return None;
        }
        let units = Arc::clone(&self.units);
        if let Ok(more) = Arc::clone(&units).try_acquire_many_owned(missing) {
            share.add(Share(Some(more)));
            return None;
        }
        // The semaphore is never closed, so there is no error to tell of.
        let more = async move { Share(units.acquire_many_owned(missing).await.ok()) };
        Some(Box::pin(more))
    }

    /// Makes `share` cover `bytes` and no more. False if so much is not left now; then it stays as it
    /// is.
    pub fn resize(&self, share: &mut Share, bytes: usize) -> bool {
        // Waiting for what is lacking is given up at once.
        let covered = self.raise(share, bytes).is_none();
        if covered {
            *share = share.split(bytes);
        }
        covered
    }

    /// Bytes that are taken, in whole units.
    pub fn used_bytes(&self) -> usize {
        (self.total as usize - self.units.available_permits()) * UNIT
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .clamp(1, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_oversized_frame_takes_all_and_no_more() {
        let budget = Budget::new(10 * UNIT);
        let mut all = Share::default();
        assert!(budget.raise(&mut all, 1 << 40).is_none());
        let mut one = Share::default();
        let lacking = budget.raise(&mut one, 1).expect("nothing is left");
        drop(all);
        one.add(lacking.await);
        assert_eq!(budget.used_bytes(), UNIT);
    }

    #[test]
    fn a_share_grows_by_what_it_lacks() {
        let budget = Budget::new(10 * UNIT);
        let mut share = Share::default();
        for (bytes, used) in [(1, 1), (UNIT, 1), (3 * UNIT, 3), (UNIT, 3)] {
            assert!(budget.raise(&mut share, bytes).is_none());
            assert_eq!(budget.used_bytes(), used * UNIT);
        }
        drop(share);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_share_is_made_to_fit() {
        let budget = Budget::new(10 * UNIT);
        let (mut one, mut other) = (Share::default(), Share::default());
        assert!(budget.resize(&mut one, 8 * UNIT));
        assert!(budget.resize(&mut one, 4 * UNIT));
        assert_eq!(budget.used_bytes(), 4 * UNIT);
        assert!(budget.resize(&mut other, 6 * UNIT));
        assert!(!budget.resize(&mut one, 5 * UNIT));
        assert_eq!(budget.used_bytes(), 10 * UNIT);
        drop(other.split(2 * UNIT));
        assert_eq!(budget.used_bytes(), 8 * UNIT);
    }
}
