//! What the writer of a log holds: the open end of the active segment and what each append updates.
use std::sync::Arc;

use crate::contents::Contents;
use crate::mapping::Tail;
use crate::producer_state::Producers;
use crate::recovery::Recovered;
use crate::segment::Segment;

/// The state under the writer's lock.
#[derive(Debug)]
pub(super) struct Writer {
    /// The last segment.
    pub(super) active: Arc<Segment>,
    /// Its open end, from the first append on: an idle log has no mapping and no file open.
    pub(super) open: Option<Open>,
    /// Producers as of the log end offset.
    pub(super) producers: Producers,
    /// Offset of the newest producer snapshot.
    pub(super) snapshot_offset: Option<i64>,
    /// Leader epoch of the last batch.
    pub(super) leader_epoch: i32,
    /// Sealed segments that are not durable yet.
    pub(super) unflushed: Vec<Arc<Segment>>,
    /// Sealed segments whose index files are not durable yet.
    pub(super) unsynced: Vec<Arc<Segment>>,
    /// Names of files that were made in the partition folder.
    pub(super) names: Names,
    /// Records since the last flush began.
    pub(super) unflushed_records: i64,
}

/// Names of segment files become durable in the order of their offsets: else a crash could leave a
/// segment and take the one before it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Names {
    /// How many were made.
    pub(super) made: u64,
    /// How many of them are durable.
    pub(super) durable: u64,
    /// A sync of the folder failed: nothing is known of them any more. Or the remains of an append
    /// that failed could not be cut off the end of a file.
    pub(super) lost: bool,
}

impl Names {
    /// Whether the folder has to be synced.
    pub(super) fn are_dirty(self) -> bool {
        self.durable < self.made
    }
}

/// The open end of the active segment.
#[derive(Debug)]
pub(super) struct Open {
    /// The segment in memory.
    pub(super) contents: Arc<Contents>,
    /// Where appends go.
    pub(super) tail: Tail,
    /// Largest timestamp of the first batch, from which `segment.ms` counts.
    pub(super) first_timestamp: Option<i64>,
}

impl Writer {
    /// As recovery left the log.
    pub(super) fn new(recovered: &Recovered) -> Self {
        let active = recovered.segments.last().expect("a log has a segment");
        Self {
            active: Arc::clone(active),
            open: None,
            producers: recovered.producers.clone(),
            snapshot_offset: recovered.snapshot_offset,
            leader_epoch: recovered.epochs.latest(),
            unflushed: Vec::new(),
            unsynced: Vec::new(),
            names: Names::default(),
            unflushed_records: 0,
        }
    }
}
