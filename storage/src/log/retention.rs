//! Letting go of the oldest records: by request, by age, by size; and of the whole log.
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Log;
use super::writer::Writer;
use crate::hold::{Hold, HoldShared};
use crate::segment::{Segment, file_name};
use crate::{LogConfig, ReadError, StorageError, data_dir, reaper};

impl Log {
    /// Moves the log start offset up to `offset` (at most the high watermark) and frees what lies below.
    /// Returns the new log start offset.
    pub fn delete_records(&self, offset: i64) -> Result<i64, ReadError> {
        let _maintenance = self.maintenance.hold();
        if self.is_closed() {
            return Err(ReadError::Closed);
        }
        let (start, end) = (self.start_offset(), self.high_watermark());
        if offset > end {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        if offset <= start {
            return Ok(start);
        }
        self.flush_before_delete()?;
        if offset == self.end_offset() {
            self.roll_away()?;
        }
        if let Some(first_kept) = self.segments.holding(offset)
            && first_kept.base_offset() > self.segments.first_base_offset()
        {
            self.sync_snapshot(first_kept.base_offset())?;
        }
        self.start.store(offset, Ordering::Release);
        // Durable before a file is unlinked: what was deleted does not come back.
        if let Err(error) = self.services.checkpoint_starts() {
            self.start.store(start, Ordering::Release);
            return Err(error.into());
        }
        let mut writer = self.writer.hold();
        let segments = self.segments.all();
        let whole = segments
            .windows(2)
            .take_while(|pair| pair[1].base_offset() <= offset)
            .count();
        self.drop_oldest(&mut writer, whole, offset);
        Ok(offset)
    }

    /// Offsets below the log start offset are not given out again after a crash: what they were given
    /// to is durable first. A log that takes no more writes can do without.
    fn flush_before_delete(&self) -> Result<(), StorageError> {
        if self.is_poisoned() {
            return Ok(());
        }
        self.flush_held()
    }

    /// Begins a new segment, whose name keeps the end, on a full disk too.
    fn roll_away(&self) -> Result<(), StorageError> {
        let mut writer = self.writer.hold();
        let mut rolled = self.roll(&mut writer);
        if let Err(error) = &rolled
            && error.source.kind() == ErrorKind::StorageFull
        {
            self.services.ballast.let_go();
            rolled = self.roll(&mut writer);
        }
        drop(writer);
        if rolled? {
            self.files().sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Makes the producers as of `offset` durable, before batches that tell of them are deleted.
    /// Without that snapshot a crash makes the log forget them.
    fn sync_snapshot(&self, offset: i64) -> Result<(), StorageError> {
        let path = self.dir.join(file_name(offset, "snapshot"));
        match self.files().sync_file(&path) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(()),
            done => done.and_then(|()| self.files().sync_dir(&self.dir)),
        }
    }

    /// Takes the oldest segments out of the list and their files off the disk, and moves the log
    /// start offset up to `start` at least. Slices that readers hold stay good.
    ///
    /// There is no delay (`file.delete.delay.ms`): Kafka's readers need the files, ours do not.
    fn drop_oldest(&self, writer: &mut Writer, count: usize, start: i64) {
        let dropped = self.segments.drop_first(count);
        let start = start.max(self.segments.first_base_offset());
        self.start.fetch_max(start, Ordering::AcqRel);
        self.epochs.hold().trim_start(start);
        let first = self.segments.first_base_offset();
        self.aborted.exclusive().trim_start(first);
        let is_dropped = |segment: &Arc<Segment>| {
            let base_offset = segment.base_offset();
            dropped.iter().any(|d| d.base_offset() == base_offset)
        };
        writer.unflushed.retain(|segment| !is_dropped(segment));
        writer.unsynced.retain(|segment| !is_dropped(segment));
        if !dropped.is_empty() {
            let names = dropped.iter().flat_map(|segment| segment.file_names());
            let at_once = self.services.by_hand;
            reaper::unlink(self.files(), &self.dir, names.collect(), at_once);
        }
    }

    /// Deletes segments past `retention.ms` and `retention.bytes`. After a jump of the clock,
    /// `cautious` lets go of one segment at a time only.
    pub(crate) fn apply_retention(&self, now_ms: i64, cautious: bool) -> Result<(), StorageError> {
        let config = self.config();
        if !config.cleanup.delete || (config.retention_ms < 0 && config.retention_bytes < 0) {
            return Ok(());
        }
        // Without the lock first: files may have to be looked at.
        if self.count_expired(&config, now_ms, cautious) == 0 {
            return Ok(());
        }
        let _maintenance = self.maintenance.hold();
        self.flush_before_delete()?;
        let before = self.start_offset();
        let count = self.settle_expired(&config, now_ms, cautious)?;
        let segments = self.segments.all();
        let Some(first_kept) = segments.get(count).filter(|_| count > 0) else {
            return Ok(());
        };
        self.sync_snapshot(first_kept.base_offset())?;
        let start = first_kept.base_offset().max(before);
        self.start.store(start, Ordering::Release);
        // Durable before a file is unlinked: what was deleted does not come back.
        if let Err(error) = self.services.checkpoint_starts() {
            self.start.store(before, Ordering::Release);
            return Err(error);
        }
        self.drop_oldest(&mut self.writer.hold(), count, start);
        tracing::info!(
            topic = self.key.0,
            partition = self.key.1,
            start,
            segments = count,
            "retention moved the log start offset"
        );
        self.tell(|observer| observer.start_moved(start));
        Ok(())
    }

    /// How many segments have expired. If all have, a new one is begun: its name keeps the end.
    fn settle_expired(
        &self,
        config: &LogConfig,
        now_ms: i64,
        cautious: bool,
    ) -> Result<usize, StorageError> {
        let mut writer = self.writer.hold();
        if self.check_writable().is_err() {
            return Ok(0);
        }
        let count = self.count_expired(config, now_ms, cautious);
        if count == self.segments.count() {
            self.roll(&mut writer)?;
            drop(writer);
            self.files().sync_dir(&self.dir)?;
        }
        Ok(count)
    }

    fn count_expired(&self, config: &LogConfig, now_ms: i64, cautious: bool) -> usize {
        let segments = self.segments.all();
        let old = |segment: &Segment| {
            config.retention_ms >= 0 && segment.is_older_than(now_ms, config.retention_ms)
        };
        let by_time = segments
            .iter()
            .take_while(|segment| segment.size() > 0 && old(segment))
            .count();
        let by_time = if cautious { by_time.min(1) } else { by_time };
        let mut by_size = 0;
        if let Ok(limit) = u64::try_from(config.retention_bytes) {
            let mut left = self.segments.size_bytes();
            for segment in &segments[..segments.len() - 1] {
                if left.saturating_sub(segment.size()) < limit {
                    break;
                }
                left -= segment.size();
                by_size += 1;
            }
        }
        by_time.max(by_size).min(self.count_visible(&segments))
    }

    /// How many segments hold nothing that readers do not see yet, nor anything undecided.
    fn count_visible(&self, segments: &[Arc<Segment>]) -> usize {
        let visible = self.visible_below().min(self.first_open());
        let ends = segments.iter().skip(1).map(|next| next.base_offset());
        ends.chain([self.end_offset()])
            .take_while(|end| *end <= visible)
            .count()
    }

    /// Forgets producers that wrote nothing for long.
    pub(crate) fn expire_producers(&self) {
        let expiration_ms = self.services.options.producer_id_expiration_ms;
        let now = Instant::now();
        self.writer.hold().producers.expire(now, expiration_ms);
    }

    /// Unmaps sealed segments that no one read lately, or all of them. Slices that readers hold keep
    /// theirs.
    pub(crate) fn release_idle(&self, all: bool) {
        self.segments.release_idle(all);
    }

    /// The entry of this log in the checkpoint of log start offsets. The first segment's name is
    /// not enough: a crash may come before the ones below are unlinked.
    pub(crate) fn checkpointed_start(&self) -> Option<i64> {
        Some(self.start_offset()).filter(|&start| start > 0)
    }

    /// Closes the log for good and takes its folder away.
    pub(crate) fn delete(&self) -> Result<(), StorageError> {
        let _maintenance = self.maintenance.hold();
        let mut writer = self.writer.hold();
        self.closed.store(true, Ordering::Release);
        writer.open = None;
        let deleted = self
            .dir
            .with_file_name(data_dir::deleted_name(&self.key.0, self.key.1));
        self.files().rename(&self.dir, &deleted)?;
        // Before the topic's name can be used again.
        self.files().sync_parent(&self.dir)?;
        reaper::remove_dir(self.files(), deleted, self.services.by_hand);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use crate::config::{sample, sample_options};
    use crate::{Append, Logs, Origin};

    const DAY: i64 = 24 * 3_600_000;
    const NOW: i64 = 1_750_000_000_000;

    #[test]
    fn a_flipped_bit_in_an_index_makes_no_record_old() {
        let dir = tempfile::tempdir().unwrap();
        let batch = |timestamp| {
            let mut batch = BatchBuilder::new();
            batch.push(timestamp, None, Some(b"value"));
            batch.build()
        };
        let mut config = sample();
        config.segment_bytes = 3 * batch(0).len() as u32;
        let (logs, _) = Logs::open(sample_options(dir.path()), &config).unwrap();
        let log = logs.create("t", 0, [0; 16], config.clone()).unwrap();
        let how = Append {
            origin: Origin::Client,
            leader_epoch: 0,
            now_ms: NOW,
        };
        for timestamp in [NOW - DAY; 3].into_iter().chain([NOW; 7]) {
            log.append(&batch(timestamp), how).unwrap();
        }
        drop(log);
        logs.close().unwrap();
        let path = dir.path().join("t-0/00000000000000000003.timeindex");
        let mut index = std::fs::read(&path).unwrap();
        // The last timestamp is now 35 years earlier.
        let at = index.len() - crate::time_index::ENTRY + 2;
        index[at] ^= 1;
        std::fs::write(&path, index).unwrap();
        config.retention_ms = DAY / 2;
        let (_logs, recovery) = Logs::open(sample_options(dir.path()), &config).unwrap();
        let log = &recovery.partitions[0].log;
        log.apply_retention(NOW + 1, false).unwrap();
        assert_eq!(log.start_offset(), 3);
        let found = log.offset_for_timestamp(NOW, 10).unwrap().unwrap();
        assert_eq!(found.offset, 3);
    }
}
