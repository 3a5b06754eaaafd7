//! A folder that cannot be opened for too few descriptors makes a flush late, and nothing worse.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fixture::*;
use storage::disk::{Access, Disk, DiskDir, DiskFile, Entry, FileInfo, RealDisk};
use storage::{AppendError, LogConfig, Logs};

/// The real disk of a process that may have no descriptor left for a folder.
#[derive(Debug, Default)]
struct ShortDisk {
    short: AtomicBool,
}

impl Disk for ShortDisk {
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        if self.short.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        RealDisk.open_dir(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path, access)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }
    fn info(&self, path: &Path) -> io::Result<FileInfo> {
        RealDisk.info(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }
}

fn open_short(dir: &Path, config: &LogConfig) -> (Arc<ShortDisk>, Logs) {
    let disk = Arc::new(ShortDisk::default());
    let there: Arc<dyn Disk> = Arc::clone(&disk) as _;
    let (logs, _) = Logs::open_by_hand(there, options(dir), config).unwrap();
    (disk, logs)
}

#[test]
fn a_flush_without_a_descriptor_is_done_later() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, logs) = open_short(dir.path(), &config());
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    try_append(&log, &batch(&[b"first"])).unwrap();
    disk.short.store(true, Ordering::Relaxed);
    log.request_flush();
    for _ in 0..3 {
        logs.flush_requested();
        assert!(!log.is_poisoned());
        assert_eq!(log.flushed_offset(), 0);
    }
    assert!(log.truncate(0).is_err());
    assert!(!log.is_poisoned());
    try_append(&log, &batch(&[b"second"])).unwrap();
    disk.short.store(false, Ordering::Relaxed);
    // It was not asked for again.
    logs.flush_requested();
    assert_eq!(log.flushed_offset(), 2);
    assert_eq!(read_values(&log, 0).len(), 2);
    logs.close().unwrap();
}

#[test]
fn an_append_that_needs_a_new_segment_is_refused_until_there_is_a_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.segment_bytes = 1000;
    let (disk, logs) = open_short(dir.path(), &config);
    let log = logs.create("t", 0, [7; 16], config).unwrap();
    let large = batch(&[&[b'x'; 600]]);
    try_append(&log, &large).unwrap();
    disk.short.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let refused = try_append(&log, &large);
        assert!(
            matches!(refused, Err(AppendError::Storage(_))),
            "{refused:?}"
        );
        logs.flush_requested();
        assert!(!log.is_poisoned());
    }
    disk.short.store(false, Ordering::Relaxed);
    try_append(&log, &large).unwrap();
    log.flush().unwrap();
    assert_eq!(log.flushed_offset(), 2);
    logs.close().unwrap();
}
