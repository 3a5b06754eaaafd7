//! Too few descriptors make a flush or a compaction late, and nothing worse.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use fixture::*;
use protocol::record::BatchBuilder;
use storage::disk::{Access, Disk, DiskDir, DiskFile, Entry, FileInfo, RealDisk};
use storage::{AppendError, Cleanup, Log, LogConfig, Logs};

/// The real disk of a process that may have no descriptor left for a folder.
#[derive(Debug)]
struct ShortDisk {
    short: AtomicBool,
    /// How many files and folders may be opened still.
    opens_left: AtomicI64,
    /// Whether a file is opened, and cannot be mapped for appends.
    unmapped: AtomicBool,
    /// How often a folder was synced.
    folder_syncs: Arc<AtomicI64>,
}

impl ShortDisk {
    fn take_descriptor(&self) -> io::Result<()> {
        if self.opens_left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EMFILE))
    }
}

impl Disk for ShortDisk {
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        if self.short.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        self.take_descriptor()?;
        let folder = RealDisk.open_dir(path)?;
        let syncs = Arc::clone(&self.folder_syncs);
        Ok(Box::new(Folder { folder, syncs }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.take_descriptor()?;
        let file = RealDisk.open(path, access)?;
        if access == Access::WriteOrCreate && self.unmapped.load(Ordering::Relaxed) {
            return RealDisk.open(Path::new("/dev/null"), Access::Read);
        }
        Ok(file)
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

#[derive(Debug)]
struct Folder {
    folder: Box<dyn DiskDir>,
    syncs: Arc<AtomicI64>,
}

impl DiskDir for Folder {
    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.folder.sync()
    }
    fn sync_file_system(&self) -> io::Result<()> {
        self.folder.sync_file_system()
    }
}

fn open_short(dir: &Path, config: &LogConfig) -> (Arc<ShortDisk>, Logs) {
    let disk = Arc::new(ShortDisk {
        short: AtomicBool::new(false),
        opens_left: AtomicI64::new(i64::MAX),
        unmapped: AtomicBool::new(false),
        folder_syncs: Arc::default(),
    });
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

/// The value of each key, which is one byte.
fn latest(log: &Log) -> BTreeMap<u8, Vec<u8>> {
    let values = read_values(log, 0).into_iter();
    values.map(|(_, value)| (value[0], value)).collect()
}

#[test]
fn a_compaction_without_a_descriptor_is_done_later() {
    let config = LogConfig {
        segment_bytes: 300,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        min_cleanable_dirty_ratio: 0.0,
        ..config()
    };
    let larger = LogConfig {
        segment_bytes: 2000,
        ..config.clone()
    };
    for opens in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (disk, logs) = open_short(dir.path(), &config);
        let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
        let append_some = |from: u8| {
            for i in from..from + 30 {
                let mut batch = BatchBuilder::new();
                batch.push(NOW, Some(&[i % 4]), Some(&[i % 4, i]));
                append(&log, &batch.build());
            }
            log.flush().unwrap();
        };
        append_some(0);
        logs.keep_house(NOW);
        // Several segments become one.
        log.set_config(larger.clone());
        let expected = latest(&log);
        disk.opens_left.store(opens, Ordering::Relaxed);
        logs.clean(NOW);
        disk.opens_left.store(i64::MAX, Ordering::Relaxed);
        let failures = logs.cleaner_stats().failures;
        assert!(!log.is_poisoned(), "after {opens}");
        assert_eq!(latest(&log), expected, "after {opens}");
        for entry in std::fs::read_dir(partition_dir(dir.path())).unwrap() {
            let path = entry.unwrap().path();
            let left_over = path
                .extension()
                .is_some_and(|e| e == "cleaned" || e == "swap");
            assert!(!left_over, "{} after {opens}", path.display());
        }
        log.set_config(config.clone());
        append_some(30);
        let expected = latest(&log);
        logs.clean(NOW);
        assert_eq!(logs.cleaner_stats().failures, failures);
        assert!(logs.cleaner_stats().records_removed > 40, "after {opens}");
        assert_eq!(latest(&log), expected);
        drop((log, logs));
        let (_logs, log, _) = reopen(dir.path(), &config);
        assert_eq!(latest(&log), expected);
        if failures == 0 {
            assert!(opens > 5);
            return;
        }
    }
}

#[test]
fn an_append_without_a_descriptor_forgets_no_timestamp() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, logs) = open_short(dir.path(), &config());
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    try_append(&log, &batch_at(NOW, &[b"newest"])).unwrap();
    try_append(&log, &batch_at(NOW, &[b"cut"])).unwrap();
    // The file is not open for appends any more.
    log.truncate(1).unwrap();
    let older = batch_at(NOW - 5000, &[b"older"]);
    disk.opens_left.store(0, Ordering::Relaxed);
    assert!(try_append(&log, &older).is_err());
    disk.opens_left.store(i64::MAX, Ordering::Relaxed);
    try_append(&log, &older).unwrap();
    let found = log.offset_for_timestamp(NOW, i64::MAX).unwrap().unwrap();
    assert_eq!(found.offset, 0);
    assert_eq!(log.max_timestamp().unwrap().unwrap().offset, 0);
    logs.close().unwrap();
}

#[test]
fn the_name_of_a_file_that_was_made_in_vain_is_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, logs) = open_short(dir.path(), &config());
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    disk.unmapped.store(true, Ordering::Relaxed);
    assert!(try_append(&log, &batch(&[b"refused"])).is_err());
    assert!(segment_file(dir.path(), 0, "log").exists());
    disk.unmapped.store(false, Ordering::Relaxed);
    try_append(&log, &batch(&[b"taken"])).unwrap();
    let before = disk.folder_syncs.load(Ordering::Relaxed);
    log.flush().unwrap();
    assert_eq!(log.flushed_offset(), 1);
    assert_eq!(disk.folder_syncs.load(Ordering::Relaxed), before + 1);
    logs.close().unwrap();
}
