//! A view as the rest of the broker sees it.
use std::fmt;
use std::sync::Arc;

use projection::Table;
use tokio::sync::watch;

use super::describe::Description;
use super::order::{Done, Order, OrderError};

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

/// A view.
#[derive(Debug)]
pub struct Handle {
    description: Description,
    commits: watch::Sender<u64>,
}

impl Handle {
    /// Name, also of its topic.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// Everything about it, as it is now.
    pub fn describe(&self) -> Description {
        self.description.clone()
    }

    /// What readers see; `None` while nothing was committed or the rows are being read back.
    pub fn serving(&self) -> Option<Serving> {
        None
    }

    /// Moves with every commit that readers can see.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Has an order done between two commits, and waits for it.
    pub async fn order(&self, order: Order) -> Result<Done, OrderError> {
        Err(OrderError::Unavailable(format!("{order:?}")))
    }
}
