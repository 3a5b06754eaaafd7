//! The data directory: its lock, its marker of a clean shutdown, and the names in it.
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::failed;
use crate::files::Files;
use crate::{OpenError, StorageError};

/// Offsets below which everything is durable and whole (Kafka's name).
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Log start offsets that were moved by hand (Kafka's name).
pub(crate) const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Offsets below which logs were compacted (Kafka's name).
pub(crate) const CLEANED: &str = "cleaner-offset-checkpoint";
const LOCK: &str = ".lock";
const CLEAN: &str = ".kafka_cleanshutdown";
const DELETE_SUFFIX: &str = "-delete";
/// The longest name of a file that Linux file systems take.
const NAME_MAX: usize = 255;

/// A locked data directory. The lock goes with it.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be and takes its lock.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("lock", &lock_path)(error).into()),
        }
    }

    /// Whether the last shutdown was clean. The marker is taken away, durably, before anything can
    /// be written: a crash from now on is not clean.
    pub(crate) fn take_clean_marker(&self, files: &Files) -> Result<bool, StorageError> {
        let was_clean = files.remove(&self.path.join(CLEAN))?;
        if was_clean {
            files.sync_dir(&self.path)?;
        }
        Ok(was_clean)
    }

    /// Says that everything was closed in order.
    pub(crate) fn put_clean_marker(&self, files: &Files) -> Result<(), StorageError> {
        let content = br#"{"version":0,"brokerEpoch":-1}"#;
        files.replace(&self.path.join(CLEAN), content)
    }
}

/// The folder name of a partition.
pub(crate) fn partition_name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Topic and partition of a folder name, if it is one.
pub(crate) fn parse_partition_name(name: &str) -> Option<(String, i32)> {
    let (topic, digits) = name.rsplit_once('-')?;
    let partition: i32 = digits.parse().ok()?;
    // As this crate writes it: `t-01` is not `t-1`.
    let canonical = partition >= 0 && partition.to_string() == digits;
    (canonical && !topic.is_empty()).then(|| (topic.to_owned(), partition))
}

/// Whether a folder waits to be removed.
pub(crate) fn is_deleted_name(name: &str) -> bool {
    name.strip_suffix(DELETE_SUFFIX)
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, id)| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A name, unlike any other, for a folder that waits to be removed.
pub(crate) fn deleted_name(topic: &str, partition: i32) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_nanos() as u64);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed) | (u64::from(std::process::id()) << 32);
    let tail = format!("-{partition}.{nanos:016x}{count:016x}{DELETE_SUFFIX}");
    let mut keep = topic.len().min(NAME_MAX - tail.len());
    while !topic.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &topic[..keep])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse_partition_name("a-b-12"), Some(("a-b".to_owned(), 12)));
        for bad in [
            "a",
            "-1",
            "a-",
            "a-x",
            "a--",
            "a-01",
            "a-+1",
            "a-99999999999",
        ] {
            assert_eq!(parse_partition_name(bad), None, "{bad}");
        }
        let deleted = deleted_name(&"x".repeat(249), 3);
        assert!(
            deleted.len() <= NAME_MAX && is_deleted_name(&deleted),
            "{deleted}"
        );
        assert_ne!(deleted_name("a", 0), deleted_name("a", 0));
        assert!(!is_deleted_name("orders-delete-0") && !is_deleted_name("a.b-delete"));
    }
}
