//! What all logs of a data directory share.
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ballast::Ballast;
use crate::checkpoint::{self, PartitionKey};
use crate::cleaner::Cleaner;
use crate::data_dir::{CLEANED, LOG_STARTS, RECOVERY_POINTS};
use crate::disk::Disk;
use crate::files::Files;
use crate::flusher::Flusher;
use crate::hold::{Hold, HoldShared};
use crate::{Log, StorageError, StorageOptions};

/// Offsets of partitions, rising by partition.
pub(crate) type Offsets = Vec<(PartitionKey, i64)>;

/// Told the seconds that a flush took.
pub(crate) type ObserveFlush = Box<dyn Fn(f64) + Send + Sync>;

/// Threads, settings and the list of logs.
pub(crate) struct Services {
    pub(crate) options: StorageOptions,
    pub(crate) files: Files,
    /// Whether there are no threads: see [`crate::Logs::open_by_hand`].
    pub(crate) by_hand: bool,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) logs: RwLock<BTreeMap<PartitionKey, Arc<Log>>>,
    pub(crate) flush_latency: RwLock<Option<ObserveFlush>>,
    pub(crate) cleaner: Cleaner,
    /// Reads that met a damaged batch.
    pub(crate) corrupt_reads: AtomicU64,
    /// Space for a checkpoint on a full disk.
    pub(crate) ballast: Ballast,
    /// What the checkpoint files say, by name.
    on_disk: Mutex<HashMap<&'static str, Offsets>>,
}

impl Services {
    /// For a data directory whose checkpoint files are about to be written.
    pub(crate) fn new(options: StorageOptions, disk: Arc<dyn Disk>, by_hand: bool) -> Self {
        let files = Files::of(disk);
        Self {
            ballast: Ballast::new(&files, &options.data_dir),
            options,
            files,
            by_hand,
            corrupt_reads: AtomicU64::new(0),
            flusher: Arc::default(),
            cleaner: Cleaner::default(),
            logs: RwLock::default(),
            flush_latency: RwLock::new(None),
            on_disk: Mutex::default(),
        }
    }

    /// All logs, by topic and partition.
    pub(crate) fn all_logs(&self) -> Vec<Arc<Log>> {
        self.logs.shared().values().cloned().collect()
    }

    /// Writes the recovery point of each log, durably.
    pub(crate) fn checkpoint_recovery_points(&self) -> Result<(), StorageError> {
        self.checkpoint(RECOVERY_POINTS, |log| Some(log.recovery_point()))
    }

    /// Writes the start offset of each log that does not start at 0, durably.
    pub(crate) fn checkpoint_starts(&self) -> Result<(), StorageError> {
        self.checkpoint(LOG_STARTS, Log::checkpointed_start)
    }

    /// Writes up to where each log was compacted, durably.
    pub(crate) fn checkpoint_cleaned(&self) -> Result<(), StorageError> {
        self.checkpoint(CLEANED, Log::checkpointed_first_dirty)
    }

    /// Notes what a checkpoint file was found to say.
    pub(crate) fn note_on_disk(&self, file: &'static str, mut offsets: Offsets) {
        offsets.sort_unstable();
        self.on_disk.hold().insert(file, offsets);
    }

    fn checkpoint(
        &self,
        file: &'static str,
        offset: impl Fn(&Log) -> Option<i64>,
    ) -> Result<(), StorageError> {
        // The lock orders writers of one file: the last one in has the newest offsets.
        let mut on_disk = self.on_disk.hold();
        let offsets: Offsets = self
            .logs
            .shared()
            .iter()
            .filter_map(|(key, log)| Some((key.clone(), offset(log)?)))
            .collect();
        if on_disk.get(file) == Some(&offsets) {
            return Ok(());
        }
        let path = self.path(file);
        let mut written = checkpoint::write_offsets(&self.files, &path, &offsets);
        if let Err(error) = &written
            && error.source.kind() == std::io::ErrorKind::StorageFull
        {
            self.ballast.let_go();
            written = checkpoint::write_offsets(&self.files, &path, &offsets);
        }
        if let Err(error) = written {
            // It may be the old file or the new one.
            on_disk.remove(file);
            return Err(error);
        }
        on_disk.insert(file, offsets);
        Ok(())
    }

    /// Makes sure that the checkpoint files say nothing of partitions that are about to be created:
    /// offsets of an earlier topic of that name would be believed after a crash.
    pub(crate) fn forget_earlier(&self, keys: &[PartitionKey]) -> Result<(), StorageError> {
        let stale = {
            let on_disk = self.on_disk.hold();
            let says = |offsets: &Offsets, key: &PartitionKey| {
                offsets.binary_search_by(|(k, _)| k.cmp(key)).is_ok()
            };
            // A file of which nothing is known may say anything.
            let unknown = on_disk.len() < 3;
            unknown
                || on_disk
                    .values()
                    .any(|o| keys.iter().any(|key| says(o, key)))
        };
        if stale {
            self.checkpoint_recovery_points()?;
            self.checkpoint_starts()?;
            self.checkpoint_cleaned()?;
        }
        Ok(())
    }

    /// Passes on how long a flush took.
    pub(crate) fn observe_flush(&self, seconds: f64) {
        if let Some(observe) = self.flush_latency.shared().as_ref() {
            observe(seconds);
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.options.data_dir.join(file)
    }
}

/// Epoch ms.
pub(crate) fn wall_clock_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_millis() as i64)
}
