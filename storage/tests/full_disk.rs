//! A full disk is an error reply, and the log goes on when there is space again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fixture::*;
use storage::AppendError;

/// Whoever starts a program has its open files for a moment, the lock file of another test too.
static ALONE: Mutex<()> = Mutex::new(());

/// A file system of a few MiB in memory.
struct SmallDisk(
    tempfile::TempDir,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(dir, alone))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_deleting_records_helps() {
    // Failing, not passing in silence: whoever cannot mount learns that this was not tested.
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let mut config = config();
    config.segment_bytes = 1 << 20;
    let (logs, _) = open(disk.path(), &config);
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    let large = batch(&[&vec![b'x'; 50_000]]);
    for _ in 0..3 {
        // Files of deleted records are unlinked by another thread.
        let deadline = Instant::now() + Duration::from_secs(30);
        while log.end_offset() - log.start_offset() < 50 {
            if let Err(error) = try_append(&log, &large) {
                assert!(matches!(error, AppendError::Full(_)), "{error:?}");
                assert!(Instant::now() < deadline, "no space came back");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        while try_append(&log, &large).is_ok() {}
        assert!(!log.is_poisoned());
        let (start, end) = (log.start_offset(), log.end_offset());
        assert_eq!(read_values(&log, start).len() as i64, end - start);
        log.flush().unwrap();
        assert_eq!(log.delete_records(end - 5).unwrap(), end - 5);
    }
    while try_append(&log, &large).is_ok() {}
    let end = log.end_offset();
    logs.close().unwrap();
    drop((log, logs));
    let (logs, log, recovery) = reopen(disk.path(), &config);
    assert!(recovery.clean);
    assert_eq!(log.end_offset(), end);
    logs.delete("t", 0).unwrap();
    logs.close().unwrap();
}

#[test]
fn a_torn_batch_on_a_full_disk_does_not_stop_a_start() {
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let (logs, _) = open(disk.path(), &config());
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    append(&log, &batch(&[b"whole"]));
    let whole = log.size_bytes();
    append(&log, &batch(&[&vec![b'x'; 300_000]]));
    let length = log.size_bytes() - 1;
    drop((log, logs));
    let segment = segment_file(disk.path(), 0, "log");
    let file = fs::File::options().write(true).open(&segment).unwrap();
    file.set_len(length).unwrap();
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let (logs, log, recovery) = reopen(disk.path(), &config());
    assert_eq!(recovery.truncated_bytes, length - whole);
    assert_eq!(read_values(&log, 0), [(0, b"whole".to_vec())]);
    assert_eq!(fs::metadata(&segment).unwrap().len(), whole);
    let names = fs::read_dir(partition_dir(disk.path())).unwrap();
    let copies = names.filter(|name| {
        let path = name.as_ref().unwrap().path();
        path.extension().is_some_and(|e| e == "corrupt")
    });
    assert_eq!(copies.count(), 0, "half a copy");
    fs::remove_file(filler).unwrap();
    append(&log, &batch(&[b"next"]));
    logs.close().unwrap();
}

#[test]
fn segments_without_room_for_an_index_do_not_stop_a_start() {
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let mut config = config();
    config.segment_bytes = 1000;
    let (logs, _) = open(disk.path(), &config);
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    for _ in 0..5 {
        append(&log, &batch(&[&[b'x'; 600]]));
    }
    assert_eq!(log.segment_count(), 5);
    let expected = read_values(&log, 0);
    drop((log, logs));
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let (logs, log, _) = reopen(disk.path(), &config);
    assert_eq!(read_values(&log, 0), expected);
    let found = log.offset_for_timestamp(NOW, 10).unwrap().unwrap();
    assert_eq!(found.offset, 0);
    fs::remove_file(filler).unwrap();
    append(&log, &batch(&[b"next"]));
    logs.close().unwrap();
}
