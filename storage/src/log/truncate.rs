//! Cutting the end of a log off.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::transactions::NONE_OPEN;
use super::writer::Writer;
use crate::StorageError;
use crate::contents::Contents;
use crate::hold::{Hold, HoldShared};
use crate::indexes::Indexes;
use crate::recovery::producers::{self, Restored};
use crate::segment::Segment;

impl Log {
    /// Cuts everything at and after `offset`. A batch goes as a whole: the new end is the base
    /// offset of the first one cut.
    ///
    /// Readers may hold slices past the cut, so no file is shortened: the segment is copied up to
    /// the cut and takes the old one's name.
    pub fn truncate(&self, offset: i64) -> Result<(), StorageError> {
        if offset >= self.end_offset() {
            return Ok(());
        }
        let _maintenance = self.maintenance.hold();
        // From here on all files are as long as their batches, and no tail is open.
        self.flush_held()?;
        let cut = self.truncate_held(offset);
        if let Err(error) = &cut
            && !self.is_poisoned()
        {
            // What is on disk and what is in memory may be two things now.
            self.poison(error);
        }
        cut
    }

    fn truncate_held(&self, offset: i64) -> Result<(), StorageError> {
        let mut writer = self.writer.hold();
        if self.is_closed() {
            return Ok(());
        }
        writer.open = None;
        // Appends that came in between.
        for segment in std::mem::take(&mut writer.unflushed) {
            segment.seal()?;
        }
        writer.active.seal()?;
        self.lower_recovery_point(offset)?;
        let (kept, end_offset) = self.cut(offset)?;
        let restored = producers::restore(self.files(), &self.dir, &kept, end_offset)?;
        // Before anything is appended: neither a segment nor a snapshot of above the cut comes back.
        self.files().sync_dir(&self.dir)?;
        let start = self.start_offset();
        self.reset_to(&mut writer, kept, restored, end_offset);
        drop(writer);
        if self.start_offset() < start {
            self.services.checkpoint_starts()?;
        }
        // What comes in the place of what was cut is dirty.
        self.services.checkpoint_cleaned()?;
        Ok(())
    }

    /// What lies above is not vouched for any more, before it goes. The cut may be lower than
    /// `offset`, but not lower than the segment that it is in.
    fn lower_recovery_point(&self, offset: i64) -> Result<(), StorageError> {
        let segment = self.segments.holding(offset - 1);
        let point = segment.map_or(offset, |segment| segment.base_offset());
        self.recovery_point.fetch_min(point, Ordering::AcqRel);
        self.services.checkpoint_recovery_points()
    }

    /// Removes segments above the cut, the last one first, and shortens the one that it goes
    /// through. Returns the segments that are left and the new end.
    fn cut(&self, offset: i64) -> Result<(Vec<Arc<Segment>>, i64), StorageError> {
        let mut kept = self.segments.all();
        let count = kept.len();
        while let Some(segment) = kept.pop_if(|segment| segment.base_offset() >= offset) {
            if kept.is_empty() && count > 1 {
                // Else a crash could take the first segment and leave a later one: a log that begins
                // with what was cut off.
                self.files().sync_dir(&self.dir)?;
            }
            // Not its snapshot: what the producers were at the cut is still true.
            for extension in ["log", "index", "timeindex", "txnindex"] {
                self.files().remove(&segment.path(extension))?;
            }
        }
        let Some(last) = kept.pop() else {
            let offset = offset.max(0);
            let fresh = Segment::create(self.files(), &self.dir, offset)?;
            return Ok((vec![Arc::new(fresh)], offset));
        };
        if last.size() == 0 {
            let end_offset = last.base_offset();
            kept.push(last);
            return Ok((kept, end_offset));
        }
        let contents = last.contents()?;
        let (position, end_offset) = cut_position(&contents, &last, offset);
        if position < contents.mapping.published() {
            kept.push(Arc::new(self.shorten(&last, &contents, position)?));
        } else {
            kept.push(last);
        }
        Ok((kept, end_offset))
    }

    fn shorten(
        &self,
        segment: &Segment,
        contents: &Contents,
        position: usize,
    ) -> Result<Segment, StorageError> {
        let path = segment.log_path();
        let copy = path.with_extension("log.tmp");
        let kept = &contents.mapping.bytes()[..position];
        self.files().write(&copy, kept, true)?;
        // An index without its file is built again from the batches.
        self.files().remove(&segment.path("index"))?;
        self.files().remove(&segment.path("timeindex"))?;
        self.files().remove(&segment.path("txnindex"))?;
        self.files().rename(&copy, &path)?;
        let short = Segment::existing(self.files(), &self.dir, segment.base_offset())?;
        let interval = self.config().index_interval_bytes;
        let indexes = Indexes::scan(segment.base_offset(), kept, interval);
        short.load_with(indexes)?;
        Ok(short)
    }

    fn reset_to(
        &self,
        writer: &mut Writer,
        kept: Vec<Arc<Segment>>,
        restored: Restored,
        end_offset: i64,
    ) {
        self.lower_visible(end_offset);
        self.end.store(end_offset, Ordering::Release);
        self.note_cut(end_offset);
        self.start.fetch_min(end_offset, Ordering::AcqRel);
        self.flushed.store(end_offset, Ordering::Release);
        let mut epochs = self.epochs.hold();
        epochs.truncate(end_offset);
        writer.leader_epoch = epochs.latest();
        drop(epochs);
        self.aborted.exclusive().truncate(end_offset);
        let first_open = restored.producers.first_open().unwrap_or(NONE_OPEN);
        self.first_open.store(first_open, Ordering::Release);
        let settled = first_open.min(end_offset);
        self.settled.store(settled, Ordering::Release);
        writer.producers = restored.producers;
        writer.snapshot_offset = restored.snapshot_offset;
        writer.active = Arc::clone(kept.last().expect("cut leaves one"));
        writer.unflushed.clear();
        let stays = |segment: &Arc<Segment>| kept.iter().any(|kept| Arc::ptr_eq(kept, segment));
        writer.unsynced.retain(stays);
        self.segments.replace(kept);
        self.tell(|observer| observer.truncated(end_offset));
    }
}

/// Where the first batch that reaches `offset` starts, and the log end offset without it: where the
/// batch before it ends, since compaction may have left a gap.
fn cut_position(contents: &Contents, segment: &Segment, offset: i64) -> (usize, i64) {
    let bytes = contents.mapping.bytes();
    let mut end_offset = segment.base_offset();
    let mut end = 0;
    for found in crate::batches::good_batches(bytes, 0, segment.base_offset()) {
        if found.header.last_offset() >= offset {
            // Over a hole of bad bytes nothing is known of the offsets in it.
            let is_next = found.position == end;
            let base_offset = found.header.base_offset;
            return (
                found.position,
                if is_next { end_offset } else { base_offset },
            );
        }
        end = found.end();
        end_offset = found.header.last_offset() + 1;
    }
    (bytes.len(), end_offset)
}
