//! Making a log durable.
//!
//! The order, each step before the next begins:
//! 1. the names of new segment files (fsync of the partition folder), so that no acknowledged batch
//!    is in a file that can vanish;
//! 2. sealed segments: data, then the file cut to its length, with metadata;
//! 3. the active segment's data. Now the flushed offset moves, and acknowledgements may leave;
//! 4. later, [`Log::checkpoint`]: index files of sealed segments, their names, the leader epochs;
//! 5. last, the recovery points file, which says that a start need not look below.
//!
//! A sync that failed ends all writes: nothing is known of what was written before it. A folder that
//! cannot be opened for too few descriptors is no such thing; the flusher tries again.
//!
//! Producer snapshots are not synced on the way: one that a crash tore fails its checksum, and an
//! older one is taken. Before batches are deleted, the snapshot that stands for them is synced.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::writer::Names;
use crate::StorageError;
use crate::disk::DiskDir;
use crate::error::failed;
use crate::hold::Hold;
use crate::segment::Segment;

/// What a flush has to sync, in this order.
struct Unflushed {
    /// Log end offset when it was taken.
    end_offset: i64,
    /// Everything below was decided then.
    settled: i64,
    names: Names,
    /// The partition folder, if `names` are dirty.
    folder: Option<Box<dyn DiskDir>>,
    sealed: Vec<Arc<Segment>>,
    active: Arc<Segment>,
}

impl Log {
    /// Asks the flusher to make everything appended so far durable; returns at once.
    pub fn request_flush(&self) {
        if let Some(me) = self.me.upgrade() {
            self.services.flusher.submit(me);
        }
    }

    /// Makes everything appended so far durable before it returns.
    pub fn flush(&self) -> Result<(), StorageError> {
        let _maintenance = self.maintenance.hold();
        self.flush_held()
    }

    /// As [`Log::flush`], with the maintenance lock held.
    pub(super) fn flush_held(&self) -> Result<(), StorageError> {
        if self.is_closed() {
            return Ok(());
        }
        if self.is_poisoned() {
            return Err(self.poisoned_error());
        }
        let unflushed = match self.take_unflushed() {
            Err(error) if !error.is_shortage() => {
                self.poison(&error);
                return Err(error);
            }
            taken => taken?,
        };
        let (end_offset, names) = (unflushed.end_offset, unflushed.names);
        let is_clean = unflushed.sealed.is_empty() && !names.are_dirty() && !names.lost;
        if end_offset == self.flushed_offset() && is_clean {
            return Ok(());
        }
        if let Err(error) = self.sync(&unflushed) {
            self.poison(&error);
            return Err(error);
        }
        if names.are_dirty() {
            let durable = &mut self.writer.hold().names.durable;
            *durable = names.made.max(*durable);
        }
        self.settled.store(unflushed.settled, Ordering::Release);
        self.flushed.store(end_offset, Ordering::Release);
        self.tell(|observer| observer.flushed(end_offset));
        Ok(())
    }

    /// What has to be synced now. Without a descriptor for the folder that is a shortage, and all is
    /// as it was: the disk was not asked for anything, so the flush can be tried again.
    fn take_unflushed(&self) -> Result<Unflushed, StorageError> {
        let mut writer = self.writer.hold();
        let names = writer.names;
        let dirty = names.are_dirty();
        let folder = dirty
            .then(|| self.files().open_dir(&self.dir))
            .transpose()?;
        writer.unflushed_records = 0;
        self.unflushed_since_ms.store(0, Ordering::Relaxed);
        let end_offset = self.end_offset();
        Ok(Unflushed {
            end_offset,
            settled: self.first_open().min(end_offset),
            folder,
            names,
            sealed: std::mem::take(&mut writer.unflushed),
            active: Arc::clone(&writer.active),
        })
    }

    fn sync(&self, unflushed: &Unflushed) -> Result<(), StorageError> {
        #[cfg(test)]
        if self.fail_next_flush.swap(false, Ordering::Relaxed) {
            let error = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(crate::error::failed("sync", &unflushed.active.log_path())(
                error,
            ));
        }
        if unflushed.names.lost {
            return Err(self.poisoned_error());
        }
        if let Some(folder) = &unflushed.folder {
            folder.sync().map_err(failed("sync", &self.dir))?;
        }
        for segment in &unflushed.sealed {
            segment.seal()?;
        }
        unflushed.active.flush()
    }

    /// After a failed flush the kernel may have dropped the dirty pages and call the next flush a
    /// success: nothing is acknowledged any more.
    pub(super) fn poison(&self, error: &StorageError) {
        tracing::error!(
            topic = self.key.0,
            partition = self.key.1,
            %error,
            "a flush failed: the log takes no more writes until the broker is started again"
        );
        self.poisoned.store(true, Ordering::Release);
        self.tell(|observer| observer.poisoned());
    }

    pub(super) fn poisoned_error(&self) -> StorageError {
        StorageError {
            action: "sync",
            path: self.dir.clone(),
            source: std::io::Error::other("an earlier flush failed"),
        }
    }

    /// Whether `flush.ms` asks for a flush.
    pub(crate) fn is_flush_due(&self, now_ms: i64) -> bool {
        let since = self.unflushed_since_ms.load(Ordering::Relaxed);
        // A clock that was set back must not put the flush off.
        since != 0 && !(0..self.config().flush_ms).contains(&now_ms.saturating_sub(since))
    }

    /// Makes durable what a start relies on below the recovery point, and moves that up to the
    /// flushed offset. Tells whether it moved.
    pub(crate) fn checkpoint(&self) -> Result<bool, StorageError> {
        let flushed = self.flushed_offset();
        // A segment that was sealed since may have new indexes, though nothing is above the point.
        if flushed == self.recovery_point() && self.writer.hold().unsynced.is_empty() {
            return Ok(false);
        }
        let _maintenance = self.maintenance.hold();
        if self.is_closed() || self.is_poisoned() {
            return Ok(false);
        }
        self.checkpoint_held()?;
        Ok(true)
    }

    pub(super) fn checkpoint_held(&self) -> Result<(), StorageError> {
        let flushed = self.flushed_offset();
        let sealed = std::mem::take(&mut self.writer.hold().unsynced);
        let (durable, waiting): (Vec<_>, Vec<_>) =
            sealed.into_iter().partition(|segment| segment.is_flushed());
        self.writer.hold().unsynced.extend(waiting);
        if let Err(error) = self.sync_indexes(&durable) {
            self.writer.hold().unsynced.extend(durable);
            return Err(error);
        }
        let epochs = self.epochs.hold().take_unwritten();
        if let Some(epochs) = epochs
            && let Err(error) = epochs.write(self.files())
        {
            self.epochs.hold().set_unwritten();
            return Err(error);
        }
        self.recovery_point.store(flushed, Ordering::Release);
        Ok(())
    }

    fn sync_indexes(&self, sealed: &[Arc<Segment>]) -> Result<(), StorageError> {
        for segment in sealed {
            segment.sync_indexes()?;
            // Written anew: what a sync that failed has lost no later one brings back, and nobody
            // would notice.
            self.settle_aborted(segment, &[])?;
        }
        if sealed.is_empty() {
            return Ok(());
        }
        // Else an index of before the segment grew could come back.
        self.files().sync_dir(&self.dir)
    }

    /// Everything below is durable and needs no look at the next start.
    pub(crate) fn recovery_point(&self) -> i64 {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// Takes no more appends, and leaves everything as it is.
    pub(crate) fn abandon(&self) {
        let _maintenance = self.maintenance.hold();
        let mut writer = self.writer.hold();
        self.closed.store(true, Ordering::Release);
        writer.open = None;
    }

    /// Flushes, writes indexes, snapshot and epochs, and takes no more appends.
    pub(crate) fn close(&self) -> Result<(), StorageError> {
        let _maintenance = self.maintenance.hold();
        if self.is_closed() {
            return Ok(());
        }
        if self.is_poisoned() {
            return Err(self.poisoned_error());
        }
        self.flush_held()?;
        let (rolled, active, names) = {
            let mut writer = self.writer.hold();
            self.closed.store(true, Ordering::Release);
            writer.open = None;
            if self.end_offset() > self.start_offset() || writer.active.size() > 0 {
                self.write_snapshot(&mut writer, self.end_offset());
            }
            let active = Arc::clone(&writer.active);
            writer.unsynced.push(Arc::clone(&active));
            let rolled = std::mem::take(&mut writer.unflushed);
            (rolled, active, writer.names.are_dirty())
        };
        active.write_indexes()?;
        // Appends may have slipped in between the flush and the lock, and have rolled the log.
        for segment in &rolled {
            segment.seal()?;
        }
        active.seal()?;
        if names {
            self.files().sync_dir(&self.dir)?;
        }
        let end_offset = self.end_offset();
        self.flushed.store(end_offset, Ordering::Release);
        self.tell(|observer| observer.flushed(end_offset));
        self.checkpoint_held()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use protocol::record::BatchBuilder;

    use crate::{Append, AppendError, LogObserver, Logs, Origin, ReadError};

    struct Told {
        poisoned: mpsc::SyncSender<()>,
        flushes: AtomicU32,
    }

    impl LogObserver for Told {
        fn flushed(&self, _: i64) {
            self.flushes.fetch_add(1, Ordering::Relaxed);
        }
        fn start_moved(&self, _: i64) {}
        fn poisoned(&self) {
            let _ = self.poisoned.try_send(());
        }
        fn truncated(&self, _: i64) {}
    }

    #[test]
    fn one_failed_flush_ends_all_appends_and_no_read() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, _) = Logs::open(
            crate::config::sample_options(dir.path()),
            &crate::config::sample(),
        )
        .unwrap();
        let log = logs
            .create("t", 0, [0; 16], crate::config::sample())
            .unwrap();
        let (poisoned, told) = mpsc::sync_channel(8);
        let observer = Arc::new(Told {
            poisoned,
            flushes: AtomicU32::new(0),
        });
        log.set_observer(Arc::clone(&observer) as Arc<dyn LogObserver>);
        let mut batch = BatchBuilder::new();
        batch.push(0, None, Some(b"value"));
        let batch = batch.build();
        let how = Append {
            origin: Origin::Client,
            leader_epoch: 0,
            now_ms: 0,
        };
        log.append(&batch, how).unwrap();
        log.fail_next_flush.store(true, Ordering::Relaxed);
        log.request_flush();
        told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(log.is_poisoned());
        assert!(matches!(
            log.append(&batch, how),
            Err(AppendError::Poisoned)
        ));
        // The disk would do it now; it must not be believed.
        assert!(log.flush().is_err());
        log.request_flush();
        assert!(logs.close().is_err());
        assert_eq!(observer.flushes.load(Ordering::Relaxed), 0);
        assert_eq!(log.flushed_offset(), 0);
        assert_eq!(log.read(0, 1, 1, true).unwrap().records.len(), batch.len());
        assert!(matches!(
            log.read(2, 3, 1, true),
            Err(ReadError::OutOfRange { .. })
        ));
        let (_logs, recovery) = Logs::open(
            crate::config::sample_options(dir.path()),
            &crate::config::sample(),
        )
        .unwrap();
        assert!(!recovery.clean);
        assert_eq!(recovery.partitions[0].log.end_offset(), 1);
    }
}
