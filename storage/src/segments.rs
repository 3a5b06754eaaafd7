//! The segments of one log, by base offset.
use std::sync::{Arc, RwLock};

use crate::hold::HoldShared;
use crate::segment::Segment;

/// Segments in order; the last one is the active one. Never empty.
#[derive(Debug)]
pub(crate) struct Segments {
    list: RwLock<Vec<Arc<Segment>>>,
}

impl Segments {
    /// The given ones, at least one, in order.
    pub(crate) fn new(list: Vec<Arc<Segment>>) -> Self {
        assert!(!list.is_empty(), "a log has a segment");
        Self {
            list: RwLock::new(list),
        }
    }

    /// The segment that holds `offset` if any does.
    pub(crate) fn holding(&self, offset: i64) -> Option<Arc<Segment>> {
        let list = self.list.shared();
        let above = list.partition_point(|segment| segment.base_offset() <= offset);
        list.get(above.checked_sub(1)?).cloned()
    }

    /// The segment after the one with this base offset.
    pub(crate) fn after(&self, base_offset: i64) -> Option<Arc<Segment>> {
        let list = self.list.shared();
        let above = list.partition_point(|segment| segment.base_offset() <= base_offset);
        list.get(above).cloned()
    }

    /// Base offset of the first one.
    pub(crate) fn first_base_offset(&self) -> i64 {
        self.list.shared()[0].base_offset()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.list.shared().clone()
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.list.shared().len()
    }

    /// Bytes of record batches.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.list
            .shared()
            .iter()
            .map(|segment| segment.size())
            .sum()
    }

    /// Adds the new active one.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.list.exclusive().push(segment);
    }

    /// Takes the first ones away, up to `count`, but never the active one.
    pub(crate) fn drop_first(&self, count: usize) -> Vec<Arc<Segment>> {
        let mut list = self.list.exclusive();
        let count = count.min(list.len() - 1);
        list.drain(..count).collect()
    }

    /// Whether all of `run` are there, one after the other.
    pub(crate) fn hold_run(&self, run: &[Arc<Segment>]) -> bool {
        position(&self.list.shared(), run).is_some()
    }

    /// Puts one in the place of a run of neighbours, which is there.
    pub(crate) fn replace_run(&self, run: &[Arc<Segment>], segment: Arc<Segment>) {
        let mut list = self.list.exclusive();
        let at = position(&list, run).expect("the maintenance lock keeps the segments there");
        list.splice(at..at + run.len(), [segment]);
    }

    /// Replaces all of them.
    pub(crate) fn replace(&self, segments: Vec<Arc<Segment>>) {
        assert!(!segments.is_empty(), "a log has a segment");
        *self.list.exclusive() = segments;
    }

    /// Lets go of sealed segments that no one reads, or of all of them.
    pub(crate) fn release_idle(&self, all: bool) {
        let list = self.list.shared();
        for segment in &list[..list.len() - 1] {
            segment.release_idle(all);
        }
    }
}

/// Where a run of neighbours begins.
fn position(list: &[Arc<Segment>], run: &[Arc<Segment>]) -> Option<usize> {
    let is_run = |part: &[Arc<Segment>]| part.iter().zip(run).all(|(a, b)| Arc::ptr_eq(a, b));
    list.windows(run.len()).position(is_run)
}
