//! A view as the rest of the broker sees it.
use std::fmt;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, RwLock};

use projection::Table;
use tokio::sync::{oneshot, watch};

use super::describe::Description;
use super::order::{Done, Order, OrderError};
use super::shown::Shown;
use super::stats::Stats;
use crate::partition::Bell;

/// Orders that wait for a view's thread.
pub(super) const ORDERS: usize = 64;

/// What readers see: one commit of one generation.
#[derive(Clone)]
pub struct Serving {
    /// The rows. They move on with later commits; each look sees one commit.
    pub table: Arc<dyn Table>,
    /// Generation.
    pub generation: u64,
    /// How far the source was read: partition, next offset; in partition order.
    pub position: Vec<(i32, i64)>,
    /// Offset after the last row in the view's topic.
    pub rows_next: i64,
    /// Records that are in the source and not yet in the view.
    pub lag: i64,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("generation", &self.generation)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// An order on its way to a view's thread.
#[derive(Debug)]
pub(super) struct Ask {
    /// What is to be done.
    pub order: Order,
    /// Where the answer goes; nobody may listen any more.
    pub answer: oneshot::Sender<Result<Done, OrderError>>,
}

/// A view.
#[derive(Debug)]
pub struct Handle {
    name: &'static str,
    shown: RwLock<Shown>,
    commits: watch::Sender<u64>,
    orders: SyncSender<Ask>,
    bell: Arc<Bell>,
    stats: Stats,
}

impl Handle {
    pub(super) fn new(
        name: &'static str,
        shown: Shown,
        orders: SyncSender<Ask>,
        bell: Arc<Bell>,
    ) -> Self {
        Self {
            name,
            shown: RwLock::new(shown),
            commits: watch::Sender::new(0),
            orders,
            bell,
            stats: Stats::default(),
        }
    }

    /// Name, also of its topic.
    pub fn name(&self) -> &str {
        self.name
    }

    /// What is counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Everything about it, as it is now.
    pub fn describe(&self) -> Description {
        self.shown().describe()
    }

    /// How long the oldest record that is not in the view waits already, seconds; 0 without one.
    pub fn lag_seconds(&self) -> f64 {
        self.shown().lag_seconds()
    }

    /// Records in the source so far, and its name.
    pub fn ingested(&self) -> (String, i64) {
        self.shown().ingested()
    }

    /// What readers see; `None` while nothing was committed or the rows are being read back.
    pub fn serving(&self) -> Option<Serving> {
        self.shown().serving()
    }

    /// Moves with every commit that readers can see.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Has an order done between two commits, and waits for it.
    pub async fn order(&self, order: Order) -> Result<Done, OrderError> {
        let (answer, done) = oneshot::channel();
        let unavailable = |why: &str| OrderError::Unavailable(why.to_owned());
        match self.orders.try_send(Ask { order, answer }) {
            Ok(()) => self.bell.ring(),
            Err(TrySendError::Full(_)) => {
                return Err(unavailable("too many orders wait for the view"));
            }
            Err(TrySendError::Disconnected(_)) => return Err(unavailable("the broker stops")),
        }
        done.await
            .unwrap_or_else(|_| Err(unavailable("the broker stops")))
    }

    /// Shows something else from now on.
    pub(super) fn show(&self, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut shown);
    }

    /// Readers can see one more commit.
    pub(super) fn tell(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    fn shown(&self) -> Shown {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }
}
