//! Opening all logs of a data directory, several at once.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::checkpoint::{self, Checkpoint, PartitionKey};
use crate::data_dir::{self, CLEANED, LOG_STARTS, RECOVERY_POINTS};
use crate::hold::{Hold, HoldShared};
use crate::recovery::{self, Known};
use crate::services::Services;
use crate::{Log, LogConfig, PartitionDir, Recovery, StorageError, partition_metadata, reaper};

/// Offsets per partition as the checkpoint files tell them.
struct Checkpoints {
    /// `None`: the file is damaged.
    recovery_points: Option<HashMap<PartitionKey, i64>>,
    starts: HashMap<PartitionKey, i64>,
    cleaned: HashMap<PartitionKey, i64>,
}

/// Opens every partition folder, and enters the logs in the list of `services`.
pub(crate) fn open_all(
    services: &Arc<Services>,
    default_config: &LogConfig,
    clean: bool,
) -> Result<Recovery, StorageError> {
    let checkpoints = read_checkpoints(services)?;
    let folders = list_partitions(services)?;
    let recovery = Mutex::new(Recovery {
        clean,
        ..Recovery::default()
    });
    let failure = Mutex::new(None);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((key, dir)) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            let known = checkpoints.of(key, clean, default_config);
            match open_one(services, key, dir, default_config, known) {
                Ok(opened) => {
                    if let Some(&offset) = checkpoints.cleaned.get(key) {
                        opened.partition.log.restore_first_dirty_offset(offset);
                    }
                    recovery.hold().add(opened);
                }
                Err(error) => *failure.hold() = Some(error),
            }
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(folders.len());
    if threads <= 1 || services.by_hand {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    if let Some(error) = failure.hold().take() {
        return Err(error);
    }
    let mut recovery = std::mem::take(&mut *recovery.hold());
    recovery
        .partitions
        .sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(recovery)
}

impl Checkpoints {
    fn of(&self, key: &PartitionKey, clean: bool, config: &LogConfig) -> Known {
        let points = self.recovery_points.as_ref();
        Known {
            clean,
            recovery_point: points.map(|points| points.get(key).copied().unwrap_or_default()),
            start: self.starts.get(key).copied().unwrap_or_default(),
            cleaned: self.cleaned.get(key).copied().unwrap_or_default(),
            index_interval_bytes: config.index_interval_bytes,
        }
    }
}

fn read_checkpoints(services: &Services) -> Result<Checkpoints, StorageError> {
    Ok(Checkpoints {
        recovery_points: read_checkpoint(services, RECOVERY_POINTS)?,
        starts: read_checkpoint(services, LOG_STARTS)?.unwrap_or_default(),
        cleaned: read_checkpoint(services, CLEANED)?.unwrap_or_default(),
    })
}

/// `None` if the file is damaged.
fn read_checkpoint(
    services: &Services,
    file: &'static str,
) -> Result<Option<HashMap<PartitionKey, i64>>, StorageError> {
    let path = services.options.data_dir.join(file);
    let offsets = match checkpoint::read_offsets(&services.files, &path)? {
        Checkpoint::Entries(offsets) => offsets,
        Checkpoint::Absent => HashMap::new(),
        Checkpoint::Damaged => {
            if file == CLEANED {
                tracing::warn!(
                    file,
                    "a checkpoint is damaged: logs are compacted from their start"
                );
            } else {
                tracing::error!(
                    file,
                    "a checkpoint is damaged: the last segment of each log is checked, and deleted \
                     records may be seen again"
                );
            }
            return Ok(None);
        }
    };
    let list = offsets.iter().map(|(key, offset)| (key.clone(), *offset));
    services.note_on_disk(file, list.collect());
    Ok(Some(offsets))
}

/// The partition folders; those of deleted partitions go.
fn list_partitions(services: &Services) -> Result<Vec<(PartitionKey, PathBuf)>, StorageError> {
    let data_dir = &services.options.data_dir;
    let (mut folders, mut deleted) = (Vec::new(), Vec::new());
    for entry in services.files.list(data_dir)? {
        if !entry.is_dir {
            continue;
        }
        let path = data_dir.join(&entry.name);
        if data_dir::is_deleted_name(&entry.name) {
            deleted.push(path);
        } else if let Some(key) = data_dir::parse_partition_name(&entry.name) {
            folders.push((key, path));
        }
    }
    if !deleted.is_empty() {
        // The process that renamed them may have ended before that was durable, and a crash must
        // not bring a partition back with a part of its files.
        services.files.sync_dir(data_dir)?;
    }
    for path in deleted {
        reaper::remove_dir(&services.files, path, services.by_hand);
    }
    Ok(folders)
}

struct Opened {
    partition: PartitionDir,
    scanned_batches: u64,
    truncated_bytes: u64,
}

fn open_one(
    services: &Arc<Services>,
    key: &PartitionKey,
    dir: &Path,
    config: &LogConfig,
    known: Known,
) -> Result<Opened, StorageError> {
    let recovered = recovery::open(&services.files, dir, known)?;
    let (scanned_batches, truncated_bytes) = (recovered.scanned_batches, recovered.truncated_bytes);
    let log = Log::new(
        key.clone(),
        dir,
        config.clone(),
        Arc::clone(services),
        recovered,
    );
    services
        .logs
        .exclusive()
        .insert(key.clone(), Arc::clone(&log));
    let (topic, partition) = key.clone();
    Ok(Opened {
        partition: PartitionDir {
            topic,
            partition,
            topic_id: partition_metadata::read(&services.files, dir)?,
            log,
        },
        scanned_batches,
        truncated_bytes,
    })
}

impl Recovery {
    fn add(&mut self, opened: Opened) {
        self.partitions.push(opened.partition);
        self.scanned_batches += opened.scanned_batches;
        self.truncated_bytes += opened.truncated_bytes;
    }
}
