//! Room for the next append: the active segment is opened, filled and rolled.
use std::io::ErrorKind;
use std::sync::Arc;

use protocol::record::BatchHeader;

use super::Log;
use super::validate::Checked;
use super::writer::{Open, Writer};
use crate::error::failed;
use crate::hold::{Hold, HoldShared};
use crate::segment::Segment;
use crate::{AppendError, LogConfig, StorageError, producer_snapshot};

impl Log {
    /// Makes sure that `length` bytes can be appended to the active segment; rolls it if it is time.
    /// Tells whether it did.
    pub(super) fn make_room(
        &self,
        writer: &mut Writer,
        config: &LogConfig,
        length: usize,
        checked: &Checked,
    ) -> Result<bool, AppendError> {
        let full = |error| self.full_or(error);
        activate(writer, config).map_err(full)?;
        let mut rolled = false;
        if self.must_roll(writer, config, length, checked) {
            rolled = self.roll(writer).map_err(full)?;
            activate(writer, config).map_err(full)?;
        }
        let open = writer.open.as_mut().expect("just activated");
        if open.tail.room() < length {
            // Empty, but mapped when `segment.bytes` was smaller.
            writer.open = None;
            activate(writer, config).map_err(full)?;
        }
        let open = writer.open.as_mut().expect("just activated");
        open.tail.reserve(length).map_err(|source| {
            full(StorageError {
                action: "reserve space in",
                path: writer.active.log_path(),
                source,
            })
        })?;
        Ok(rolled)
    }

    /// A full disk (or quota, or file size limit) is a case of its own.
    pub(super) fn full_or(&self, error: StorageError) -> AppendError {
        match error.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                AppendError::Full(self.dir.clone())
            }
            _ => AppendError::Storage(error),
        }
    }

    /// As Apache Kafka's `LogSegment.shouldRoll`: by size, by time between the first batch and this
    /// one, by full index, by an offset too far from the base offset.
    fn must_roll(
        &self,
        writer: &Writer,
        config: &LogConfig,
        length: usize,
        checked: &Checked,
    ) -> bool {
        let size = writer.active.size();
        if size == 0 {
            return false;
        }
        let open = writer.open.as_ref().expect("activated before");
        let last_relative = self.end_offset() + checked.span - 1 - writer.active.base_offset();
        let waited = match open.first_timestamp {
            Some(first) if first >= 0 && checked.max_timestamp >= 0 => {
                checked.max_timestamp.saturating_sub(first)
            }
            _ => 0,
        };
        size + length as u64 > u64::from(config.segment_bytes)
            || open.tail.room() < length
            || waited > config.roll_ms()
            || last_relative > i64::from(i32::MAX)
            || open
                .contents
                .indexes
                .shared()
                .is_full(config.segment_index_bytes)
    }

    /// Seals the active segment and begins a new one at the log end offset. Nothing happens to an
    /// empty one. Tells whether it did.
    pub(super) fn roll(&self, writer: &mut Writer) -> Result<bool, StorageError> {
        if writer.active.size() == 0 {
            return Ok(false);
        }
        let end_offset = self.end_offset();
        // First what can fail: without a new segment the old one stays active.
        let aborted = self.aborted.shared();
        aborted.write(self.files(), &writer.active, end_offset)?;
        drop(aborted);
        self.sync_names(writer)?;
        let next = Arc::new(Segment::create(self.files(), &self.dir, end_offset)?);
        writer.names.made += 1;
        let sealed = std::mem::replace(&mut writer.active, Arc::clone(&next));
        writer.open = None;
        if let Err(error) = sealed.write_indexes() {
            tracing::warn!(%error, "an index is not written; it will be built from the batches");
        }
        writer.unsynced.push(Arc::clone(&sealed));
        writer.unflushed.push(sealed);
        self.write_snapshot(writer, end_offset);
        self.segments.push(next);
        Ok(true)
    }

    /// Makes the names so far durable. Most often the flush of the last roll has done that.
    fn sync_names(&self, writer: &mut Writer) -> Result<(), StorageError> {
        if writer.names.lost {
            return Err(self.poisoned_error());
        }
        if writer.names.are_dirty() {
            let folder = self.files().open_dir(&self.dir)?;
            if let Err(error) = folder.sync().map_err(failed("sync", &self.dir)) {
                // The flush poisons the log: observers are not told under the writer's lock.
                writer.names.lost = true;
                self.request_flush();
                return Err(error);
            }
            writer.names.durable = writer.names.made;
        }
        Ok(())
    }

    /// Writes the producers as of `offset`. One that fails costs time at the next start only.
    pub(super) fn write_snapshot(&self, writer: &mut Writer, offset: i64) {
        if writer.snapshot_offset == Some(offset) {
            return;
        }
        let path = self.dir.join(crate::segment::file_name(offset, "snapshot"));
        let content = producer_snapshot::encode(&writer.producers);
        if let Err(error) = self.files().replace_unsynced(&path, &content) {
            tracing::warn!(%error, "a producer snapshot is not written");
            return;
        }
        // One from a clean shutdown belongs to no segment and goes when there is a newer one.
        if let Some(old) = writer.snapshot_offset.replace(offset)
            && self
                .segments
                .holding(old)
                .is_none_or(|segment| segment.base_offset() != old)
        {
            let path = self.dir.join(crate::segment::file_name(old, "snapshot"));
            let _ = self.files().remove(&path);
        }
    }

    /// Rolls the active segment when its first record is older than `segment.ms`, or than
    /// `max.compaction.lag.ms` in a compacted log.
    pub(crate) fn roll_if_idle(&self, now_ms: i64) -> Result<(), StorageError> {
        let config = self.config();
        let mut writer = self.writer.hold();
        let first = writer.active.first_append_ms();
        let due = first >= 0 && now_ms.saturating_sub(first) > config.roll_ms();
        if !due || self.check_writable().is_err() {
            return Ok(());
        }
        let rolled = self.roll(&mut writer)?;
        drop(writer);
        if rolled {
            self.request_flush();
        }
        Ok(())
    }
}

/// Opens the end of the active segment, if it is not open.
fn activate(writer: &mut Writer, config: &LogConfig) -> Result<(), StorageError> {
    if writer.open.is_some() {
        return Ok(());
    }
    let made = &mut writer.names.made;
    let (contents, tail) = writer.active.activate(config.segment_bytes, made)?;
    let first = BatchHeader::parse(contents.mapping.bytes()).ok();
    writer.open = Some(Open {
        contents,
        tail,
        first_timestamp: first.map(|header| header.max_timestamp),
    });
    Ok(())
}
