//! A full disk is an error reply, and the log goes on when there is space again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fixture::*;
use protocol::record::BatchBuilder;
use storage::{Aborted, Append, AppendError, Log, Marker, Origin};

/// Whoever starts a program has its open files for a moment, the lock file of another test too.
static ALONE: Mutex<()> = Mutex::new(());

/// A file system of a few MiB in memory.
struct SmallDisk(
    tempfile::TempDir,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        Self::mount_kind("tmpfs", &format!("size={size}"))
    }

    fn mount_kind(kind: &str, options: &str) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", kind, "-o", options, kind])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(dir, alone))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Takes all the space that is left.
fn fill(path: &Path) -> PathBuf {
    let filler = path.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    filler
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
    let filler = fill(disk.path());
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
    let filler = fill(disk.path());
    let (logs, log, _) = reopen(disk.path(), &config);
    assert_eq!(read_values(&log, 0), expected);
    let found = log.offset_for_timestamp(NOW, 10).unwrap().unwrap();
    assert_eq!(found.offset, 0);
    fs::remove_file(filler).unwrap();
    append(&log, &batch(&[b"next"]));
    logs.close().unwrap();
}

#[test]
fn aborted_transactions_without_room_for_their_index_do_not_stop_a_start() {
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let mut config = config();
    config.segment_bytes = 1000;
    let (logs, _) = open(disk.path(), &config);
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    let marker = Marker {
        commits: false,
        coordinator_epoch: 0,
    };
    let internal = Append {
        origin: Origin::Internal,
        ..CLIENT
    };
    for sequence in 0..5 {
        let mut data = BatchBuilder::new().producer(9, 0, sequence).transactional();
        data.push(NOW, None, Some(&[b'x'; 600]));
        append(&log, &data.build());
        log.append(&marker.batch(9, 0, NOW), internal).unwrap();
    }
    assert_eq!(log.segment_count(), 5);
    let aborted = |log: &Log| -> Vec<Aborted> { log.aborted(0, i64::MAX) };
    let expected = (aborted(&log), read_values(&log, 0));
    assert_eq!(expected.0.len(), 5);
    drop((log, logs));
    // One of them is missing too, which says that nothing was aborted there.
    fs::remove_file(segment_file(disk.path(), 2, "txnindex")).unwrap();
    fs::remove_file(disk.path().join(".ballast")).unwrap();
    let filler = fill(disk.path());
    for _ in 0..2 {
        let (logs, log, _) = reopen(disk.path(), &config);
        assert_eq!((aborted(&log), read_values(&log, 0)), expected);
        drop((log, logs));
    }
    let (logs, log, _) = reopen(disk.path(), &config);
    fs::remove_file(filler).unwrap();
    logs.keep_house(NOW);
    drop((log, logs));
    // Nothing is looked through again, but for the last segment.
    let (logs, log, recovery) = reopen(disk.path(), &config);
    assert_eq!(recovery.scanned_batches, 0);
    assert_eq!((aborted(&log), read_values(&log, 0)), expected);
    logs.close().unwrap();
}

#[test]
fn records_are_deleted_on_a_full_disk_however_often() {
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let mut config = config();
    config.segment_bytes = 1 << 20;
    let (logs, _) = open(disk.path(), &config);
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    let large = batch(&[&vec![b'x'; 50_000]]);
    let small = batch(&[b"takes what is left"]);
    for start in 1..6 {
        // Appends take what deleting does not need.
        while try_append(&log, &large).is_ok() || try_append(&log, &small).is_ok() {}
        assert_eq!(log.delete_records(start).unwrap(), start);
    }
    let end = log.end_offset();
    assert_eq!(log.delete_records(end).unwrap(), end);
    logs.close().unwrap();
}

#[test]
fn an_index_without_room_does_not_make_a_shutdown_unclean() {
    let disk = SmallDisk::mount("6m").expect("mounting a tmpfs takes root: run as root");
    let (logs, _) = open(disk.path(), &config());
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    append(&log, &batch(&[b"first"]));
    fs::remove_file(disk.path().join(".ballast")).unwrap();
    fill(disk.path());
    // The space that was reserved for the log is what the rest needs.
    logs.close().unwrap();
    drop((log, logs));
    let (_logs, log, recovery) = reopen(disk.path(), &config());
    assert!(recovery.clean);
    assert_eq!(read_values(&log, 0), [(0, b"first".to_vec())]);
}

#[test]
fn a_file_system_that_reserves_no_space_will_do() {
    let disk = SmallDisk::mount_kind("ramfs", "mode=700").expect("mounting takes root");
    let mut config = config();
    config.segment_bytes = 100_000;
    let (logs, _) = open(disk.path(), &config);
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    for _ in 0..5 {
        append(&log, &batch(&[&vec![b'x'; 50_000]]));
    }
    log.flush().unwrap();
    let expected = read_values(&log, 0);
    drop((log, logs));
    let (logs, log, recovery) = reopen(disk.path(), &config);
    assert_eq!(recovery.truncated_bytes, 0);
    assert_eq!(read_values(&log, 0), expected);
    append(&log, &batch(&[b"next"]));
    logs.close().unwrap();
}
