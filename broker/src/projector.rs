//! Projections at work: views that the broker itself keeps up to date from topics.
//!
//! Each view has a thread of its own, which reads its source, steps its engine and commits. Whoever
//! wants something of a view talks to its [`Handle`]: what stands is read from there without waiting,
//! orders go to the thread and are answered when they are done.
mod describe;
mod handle;
mod order;

pub use describe::{Building, Description, Lag, State};
pub use handle::{Handle, Serving};
pub use order::{Done, Order, OrderError, Redriven, Selection};

use std::sync::Arc;

/// All views.
#[derive(Debug, Default)]
pub struct Projector {
    views: Vec<Arc<Handle>>,
}

impl Projector {
    /// All views, in the order of their names.
    pub fn all(&self) -> &[Arc<Handle>] {
        &self.views
    }

    /// The view of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Handle>> {
        self.views.iter().find(|view| view.name() == name)
    }
}
