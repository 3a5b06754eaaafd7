//! The set of logs in one data directory.
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::checkpoint::PartitionKey;
use crate::cleaner::CleaningTime;
use crate::data_dir::{self, DataDir};
use crate::disk::{Disk, RealDisk};
use crate::error::failed;
use crate::files::Files;
use crate::hold::{Hold, HoldShared};
use crate::housekeeper::{self, Stop};
use crate::recovery::Recovered;
use crate::services::Services;
use crate::{CleanerStats, Log, LogConfig, OpenError, StorageError, StorageOptions};
use crate::{cleaner, opening, partition_metadata, reaper};

/// More new partitions than this are made durable as a file system, not file by file.
const SYNC_EACH_MAX: usize = 4;

/// What opening found in one partition folder.
#[derive(Debug)]
pub struct PartitionDir {
    /// Topic name.
    pub topic: String,
    /// Partition index.
    pub partition: i32,
    /// From `partition.metadata`; zero if there is none.
    pub topic_id: [u8; 16],
    /// The opened log, with default settings until the broker sets the topic's.
    pub log: Arc<Log>,
}

/// What opening did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Every partition folder found.
    pub partitions: Vec<PartitionDir>,
    /// Whether the last shutdown was clean.
    pub clean: bool,
    /// Batches that were checked because they lay above a recovery point.
    pub scanned_batches: u64,
    /// Bytes that were cut off as torn (copies are kept as `.corrupt`).
    pub truncated_bytes: u64,
}

/// The set of logs in one data directory, with its flusher and housekeeping threads.
///
/// Dropping it without [`Logs::close`] is like a crash of the process: nothing is flushed, and the
/// next open checks what lies above the recovery points.
pub struct Logs {
    services: Arc<Services>,
    /// `None` once closed.
    data_dir: Mutex<Option<DataDir>>,
    /// Ends the housekeeper and the cleaner.
    stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs")
            .field("data_dir", &self.services.options.data_dir)
            .field("logs", &self.services.logs.shared().len())
            .finish_non_exhaustive()
    }
}

impl Logs {
    /// Takes the lock file, opens every `<topic>-<partition>` folder with `default_config`.
    pub fn open(
        options: StorageOptions,
        default_config: &LogConfig,
    ) -> Result<(Self, Recovery), OpenError> {
        let path = options.data_dir.clone();
        let opened = Self::assemble(Arc::new(RealDisk), options, default_config, false)?;
        let started = opened.0.start_threads();
        started.map_err(failed("start a thread for", &path))?;
        Ok(opened)
    }

    /// As [`Logs::open`] on another disk and without any thread: what the threads would do is done
    /// by [`Logs::flush_requested`] and [`Logs::keep_house`], so that the same calls always do the
    /// same to the disk.
    pub fn open_by_hand(
        disk: Arc<dyn Disk>,
        options: StorageOptions,
        default_config: &LogConfig,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::assemble(disk, options, default_config, true)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        options: StorageOptions,
        default_config: &LogConfig,
        by_hand: bool,
    ) -> Result<(Self, Recovery), OpenError> {
        let data_dir = DataDir::lock(&options.data_dir)?;
        let services = Arc::new(Services::new(options, disk, by_hand));
        let clean = data_dir.take_clean_marker(&services.files)?;
        let logs = Self {
            services: Arc::clone(&services),
            data_dir: Mutex::new(Some(data_dir)),
            stop: Arc::default(),
            threads: Mutex::default(),
        };
        let recovery = opening::open_all(&services, default_config, clean)?;
        services.checkpoint_recovery_points()?;
        services.checkpoint_starts()?;
        services.checkpoint_cleaned()?;
        Ok((logs, recovery))
    }

    /// Flushes every log for which that was asked since the last call.
    pub fn flush_requested(&self) {
        self.services.flusher.run_once();
    }

    /// One round of housekeeping at `now_ms` (wall clock, epoch ms): timed flushes are asked for,
    /// checkpoints are written, idle segments rolled, retention applied, producers expired. What
    /// fails is tried again in the next round.
    pub fn keep_house(&self, now_ms: i64) {
        housekeeper::round(&self.services, now_ms);
    }

    fn start_threads(&self) -> io::Result<()> {
        let services = Arc::clone(&self.services);
        let observe: Arc<dyn Fn(f64) + Send + Sync> =
            Arc::new(move |seconds| services.observe_flush(seconds));
        let mut threads = self.threads.hold();
        threads.extend(self.services.flusher.start(&observe)?);
        threads.push(housekeeper::start(
            Arc::clone(&self.services),
            Arc::clone(&self.stop),
        )?);
        threads.push(cleaner::start(
            Arc::clone(&self.services),
            Arc::clone(&self.stop),
        )?);
        Ok(())
    }

    /// Creates the log of a new partition (its folder and `partition.metadata`, durable).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the log keeps its settings; only `create_many` shares them"
    )]
    pub fn create(
        &self,
        topic: &str,
        partition: i32,
        topic_id: [u8; 16],
        config: LogConfig,
    ) -> Result<Arc<Log>, StorageError> {
        let mut created = self.create_many(topic, partition..partition + 1, topic_id, &config)?;
        Ok(created.pop().expect("one was asked for"))
    }

    /// Creates several at once, with one directory fsync for all. On an error none is there.
    pub fn create_many(
        &self,
        topic: &str,
        partitions: Range<i32>,
        topic_id: [u8; 16],
        config: &LogConfig,
    ) -> Result<Vec<Arc<Log>>, StorageError> {
        let data_dir = self.services.options.data_dir.clone();
        if self.data_dir.hold().is_none() {
            return Err(failed("create a log in", &data_dir)(closed()));
        }
        let keys: Vec<PartitionKey> = partitions.map(|p| (topic.to_owned(), p)).collect();
        self.services.forget_earlier(&keys)?;
        let dirs: Vec<PathBuf> = keys
            .iter()
            .map(|(topic, partition)| data_dir.join(data_dir::partition_name(topic, *partition)))
            .collect();
        let files = &self.services.files;
        for (i, dir) in dirs.iter().enumerate() {
            if let Err(error) = create_folder(files, dir, topic_id) {
                undo(files, &dirs[..i]);
                return Err(error);
            }
        }
        if let Err(error) = sync_folders(files, &data_dir, &dirs) {
            undo(files, &dirs);
            return Err(error);
        }
        let mut list = self.services.logs.exclusive();
        let create = |(key, dir): (PartitionKey, &PathBuf)| {
            let log = Log::new(
                key.clone(),
                dir,
                config.clone(),
                Arc::clone(&self.services),
                Recovered::fresh(files, dir),
            );
            list.insert(key, Arc::clone(&log));
            log
        };
        Ok(keys.into_iter().zip(&dirs).map(create).collect())
    }

    /// Takes the partition out of the set and its files off the disk; readers that hold slices keep
    /// them. Renames to `<topic>-<partition>.<hex>-delete` first.
    pub fn delete(&self, topic: &str, partition: i32) -> Result<(), StorageError> {
        let key = (topic.to_owned(), partition);
        let log = self.services.logs.exclusive().remove(&key);
        let Some(log) = log else {
            let name = data_dir::partition_name(topic, partition);
            let path = self.services.options.data_dir.join(name);
            return Err(failed("delete", &path)(io::ErrorKind::NotFound.into()));
        };
        let deleted = log.delete();
        if deleted.is_err() {
            // Its folder is still there: the next attempt must find it.
            self.services.logs.exclusive().entry(key).or_insert(log);
        }
        deleted
    }

    /// Bytes that the data directory's file system has in all, and free for us.
    pub fn disk_space(&self) -> Result<(u64, u64), StorageError> {
        let path = &self.services.options.data_dir;
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| failed("inspect the file system of", path)(error.into()))?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }

    /// How many reads met a damaged batch since the start.
    pub fn corrupt_reads(&self) -> u64 {
        self.services.corrupt_reads.load(Ordering::Relaxed)
    }

    /// What the cleaner did since the start.
    pub fn cleaner_stats(&self) -> CleanerStats {
        self.services.cleaner.stats()
    }

    /// Compacts every log that is dirty enough at `now_ms` (epoch ms), on this thread, as the
    /// cleaner's own does every `log.cleaner.backoff.ms`. For tests and tools.
    pub fn clean(&self, now_ms: i64) {
        let time = CleaningTime {
            now_ms,
            doubted: false,
        };
        let cleaner = &self.services.cleaner;
        cleaner.round(&self.services, &self.stop, time);
    }

    /// Seconds that each flush of a log by the flusher took are passed to `observe`.
    pub fn on_flush_latency(&self, observe: Box<dyn Fn(f64) + Send + Sync>) {
        *self.services.flush_latency.exclusive() = Some(observe);
    }

    /// Flushes everything, writes checkpoints and snapshots, marks the shutdown clean, lets go of the
    /// lock file.
    pub fn close(&self) -> Result<(), StorageError> {
        let Some(data_dir) = self.data_dir.hold().take() else {
            return Ok(());
        };
        self.stop_threads();
        // A full disk is no reason to leave indexes and snapshots unwritten.
        self.services.ballast.let_go();
        let logs = self.services.all_logs();
        let failure = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(log) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = log.close() {
                    *failure.hold() = Some(error);
                }
            }
        };
        if self.services.by_hand {
            work();
        } else {
            std::thread::scope(|scope| {
                // Closing waits for the disk more than it computes.
                for _ in 0..logs.len().min(8) {
                    scope.spawn(work);
                }
            });
        }
        self.services.checkpoint_recovery_points()?;
        self.services.checkpoint_starts()?;
        self.services.logs.exclusive().clear();
        match failure.hold().take() {
            Some(error) => Err(error),
            None => data_dir.put_clean_marker(&self.services.files),
        }
    }

    fn stop_threads(&self) {
        self.stop.stop();
        self.services.flusher.stop();
        for thread in std::mem::take(&mut *self.threads.hold()) {
            // A thread that panicked has said so; the others still have to end.
            let _ = thread.join();
        }
        reaper::drain();
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let data_dir = self.data_dir.hold().take();
        if data_dir.is_some() {
            self.stop_threads();
            for log in self.services.all_logs() {
                // Before the lock goes: what still holds a log must not write any more.
                log.abandon();
            }
            self.services.logs.exclusive().clear();
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the data directory is closed")
}

fn create_folder(files: &Files, dir: &Path, topic_id: [u8; 16]) -> Result<(), StorageError> {
    files.create_dir(dir)?;
    let metadata = dir.join(partition_metadata::FILE);
    let content = partition_metadata::encode(topic_id);
    files
        .write(&metadata, content.as_bytes(), false)
        .inspect_err(|_| undo(files, &[dir.to_owned()]))
}

fn sync_folders(files: &Files, data_dir: &Path, dirs: &[PathBuf]) -> Result<(), StorageError> {
    if dirs.len() > SYNC_EACH_MAX {
        return files
            .open_dir(data_dir)?
            .sync_file_system()
            .map_err(failed("sync the file system of", data_dir));
    }
    for dir in dirs {
        files.sync_file(&dir.join(partition_metadata::FILE))?;
        files.sync_dir(dir)?;
    }
    files.sync_dir(data_dir)
}

fn undo(files: &Files, dirs: &[PathBuf]) {
    for dir in dirs {
        if let Err(error) = files.remove_dir_all(dir) {
            tracing::warn!(path = %dir.display(), %error, "a half-made partition stays");
        }
    }
}
