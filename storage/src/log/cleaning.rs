//! What the cleaner does to a log, and what it has to know of it.
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::{Log, validate};
use crate::checkpoint::PartitionKey;
use crate::cleaner::{
    Source,
    swap::{self, Swap},
};
use crate::hold::Hold;
use crate::segment::Segment;
use crate::{LogConfig, StorageError, reaper};

/// How far a log is clean, and how far it may be cleaned.
#[derive(Debug)]
pub(super) struct Cleaning {
    /// Set by the broker: nothing at or after it is cleaned.
    end: AtomicI64,
    /// Everything below was cleaned.
    first_dirty: AtomicI64,
    /// The lowest end that the log was cut to since the pass began.
    lowest_cut: AtomicI64,
    /// A damaged batch was met.
    damaged: AtomicBool,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self {
            end: AtomicI64::new(i64::MAX),
            first_dirty: AtomicI64::new(0),
            lowest_cut: AtomicI64::new(i64::MAX),
            damaged: AtomicBool::new(false),
        }
    }
}

impl Log {
    /// Keeps compaction away from `offset` and everything after it: a segment is left alone unless
    /// all of it lies below. For records that may still be cut off. Without a call there
    /// is no such bound.
    pub fn set_cleanable_end(&self, offset: i64) {
        self.cleaning.end.store(offset, Ordering::Release);
    }

    /// Nothing at or after it may be cleaned: what the broker says, what readers do not see yet or is
    /// not decided, and what is not on disk for good. A marker that a crash may still take back
    /// decides nothing: its transaction would be open again, and what it wrote or outdated be gone.
    pub(crate) fn cleanable_end(&self) -> i64 {
        let end = self.cleaning.end.load(Ordering::Acquire);
        let settled = self.settled.load(Ordering::Acquire);
        end.min(self.high_watermark()).min(settled)
    }

    /// Sealed segments that end at or before `end`, in order.
    pub(crate) fn sealed(&self, end: i64) -> Vec<Source> {
        self.segments
            .all()
            .windows(2)
            .map(|pair| Source {
                segment: Arc::clone(&pair[0]),
                end_offset: pair[1].base_offset(),
            })
            .take_while(|source| source.end_offset <= end)
            .collect()
    }

    /// Everything below was cleaned.
    pub(crate) fn first_dirty_offset(&self) -> i64 {
        let offset = self.cleaning.first_dirty.load(Ordering::Acquire);
        let start = self.start_offset();
        // Past the end it is of another log than this.
        if offset > self.end_offset() {
            start
        } else {
            offset.max(start)
        }
    }

    /// Puts it back as a checkpoint tells it.
    pub(crate) fn restore_first_dirty_offset(&self, offset: i64) {
        self.cleaning.first_dirty.store(offset, Ordering::Release);
    }

    /// The entry of this log in the cleaner's checkpoint.
    pub(crate) fn checkpointed_first_dirty(&self) -> Option<i64> {
        let offset = self.cleaning.first_dirty.load(Ordering::Acquire);
        (offset > 0).then_some(offset)
    }

    /// Notes that the log was cut: keys that a pass has read may be gone.
    pub(super) fn note_cut(&self, end: i64) {
        self.cleaning.lowest_cut.fetch_min(end, Ordering::AcqRel);
        self.cleaning.first_dirty.fetch_min(end, Ordering::AcqRel);
    }

    /// Begins a pass; returns the first dirty offset: a cut from here on is noticed by the pass.
    pub(crate) fn begin_pass(&self) -> i64 {
        let _maintenance = self.maintenance.hold();
        self.cleaning.lowest_cut.store(i64::MAX, Ordering::Release);
        self.first_dirty_offset()
    }

    /// Ends a pass that read the keys up to `end`; false if they may be gone since.
    pub(crate) fn end_pass(&self, end: i64) -> bool {
        let _maintenance = self.maintenance.hold();
        let whole = self.cleaning.lowest_cut.load(Ordering::Acquire) >= end;
        if whole {
            self.cleaning.first_dirty.store(end, Ordering::Release);
        }
        whole
    }

    /// Whether it may be cleaned at all.
    pub(crate) fn takes_cleaning(&self) -> bool {
        let damaged = self.cleaning.damaged.load(Ordering::Relaxed);
        !(damaged || self.is_closed() || self.is_poisoned())
    }

    /// Notes that a damaged batch was met; true for the first one.
    pub(crate) fn set_damaged(&self) -> bool {
        !self.cleaning.damaged.swap(true, Ordering::Relaxed)
    }

    /// Ids of the producers that are known.
    pub(crate) fn known_producers(&self) -> HashSet<i64> {
        let writer = self.writer.hold();
        writer.producers.iter().map(|(id, _)| id).collect()
    }

    /// Topic and partition.
    pub(crate) fn key(&self) -> (&str, i32) {
        let (topic, partition): &PartitionKey = &self.key;
        (topic, *partition)
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How large a compressed body may become.
    pub(crate) fn decompression_limit(config: &LogConfig) -> usize {
        validate::decompression_limit(config)
    }

    /// Puts a cleaned segment in the place of `replaced`, which are neighbours, on disk and in the
    /// list; it lacks `forgotten` abort markers. False, with nothing done, if the log is not what the
    /// pass has read up to `end_offset`.
    /// Readers that hold an old segment go on with it: it stays mapped.
    pub(crate) fn swap_in(
        &self,
        replaced: &[Arc<Segment>],
        cleaned: Segment,
        forgotten: &[i64],
        end_offset: i64,
    ) -> Result<bool, StorageError> {
        let _maintenance = self.maintenance.hold();
        // Cut at its end, a sealed segment is the active one again.
        let cut = self.cleaning.lowest_cut.load(Ordering::Acquire) <= end_offset;
        if cut || !self.takes_cleaning() || !self.segments.hold_run(replaced) {
            return Ok(false);
        }
        let base_offset = cleaned.base_offset();
        let swap = match Swap::begin(self.files(), &self.dir, base_offset) {
            Ok(swap) => swap,
            Err(error) => {
                let _ = swap::discard(self.files(), &self.dir, base_offset);
                return Err(error);
            }
        };
        let others: Vec<i64> = replaced[1..].iter().map(|s| s.base_offset()).collect();
        let committed = self
            .forget_aborted(replaced, forgotten)
            .and_then(|()| replaced.iter().try_for_each(|segment| segment.pin()))
            .and_then(|()| swap.commit());
        if let Err(error) = committed {
            if let Err(undone) = swap.undo() {
                // A start may take it as done.
                self.poison(&undone);
            }
            for segment in replaced {
                segment.unpin();
            }
            return Err(error);
        }
        let finished = swap.finish(&others);
        if let Err(error) = &finished {
            // The next start does the rest. Until then the files are not named as they should be.
            cleaned.pin()?;
            self.poison(error);
        }
        let cleaned = Arc::new(cleaned);
        self.segments.replace_run(replaced, Arc::clone(&cleaned));
        self.merge_aborted(&cleaned, &others);
        let stays = |kept: &Arc<Segment>| !replaced.iter().any(|old| Arc::ptr_eq(old, kept));
        self.writer.hold().unsynced.retain(stays);
        if finished.is_ok() {
            let names = others.iter().copied().flat_map(swap::deleted_names);
            let by_hand = self.services.by_hand;
            reaper::unlink(self.files(), &self.dir, names.collect(), by_hand);
        }
        finished.map(|()| true)
    }
}
