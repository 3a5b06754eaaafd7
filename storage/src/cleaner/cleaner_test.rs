//! Passes over small logs: crashes after each step of a swap, cuts and damage in between.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use protocol::record::{BatchBuilder, BatchHeader, HEADER_LEN, records, verify};

use super::swap::step;
use crate::config::{sample, sample_options};
use crate::data_dir::RECOVERY_POINTS;
use crate::{Append, Cleanup, Log, LogConfig, Logs, Marker, Origin};

const NOW: i64 = 1_750_000_000_000;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        min_cleanable_dirty_ratio: 0.01,
        ..sample()
    }
}

/// Three times smaller segments than those that a pass may make.
fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 300,
        ..config()
    }
}

fn create(dir: &Path) -> (Logs, Arc<Log>) {
    let (logs, _) = Logs::open(sample_options(dir), &config()).unwrap();
    let log = logs.create("t", 0, [0; 16], small()).unwrap();
    (logs, log)
}

fn append(log: &Log, key: u8, value: u64) {
    let mut batch = BatchBuilder::new();
    batch.push(NOW, Some(&[key]), Some(&value.to_be_bytes()));
    let how = Append {
        origin: Origin::Client,
        leader_epoch: 0,
        now_ms: NOW,
    };
    log.append(&batch.build(), how).unwrap();
}

/// Records by offset, each checksum verified.
fn read(log: &Log) -> BTreeMap<i64, (u8, u64)> {
    let mut found = BTreeMap::new();
    let mut offset = log.start_offset();
    while offset < log.end_offset() {
        let read = log.read(offset, i64::MAX, 1 << 20, true).unwrap();
        let mut rest = &read.records[..];
        while !rest.is_empty() {
            let header: BatchHeader = verify(rest).unwrap();
            for record in records(&header, &rest[HEADER_LEN..header.size()]) {
                let record = record.unwrap();
                let value = u64::from_be_bytes(record.value.unwrap().try_into().unwrap());
                let at = header.base_offset + i64::from(record.offset_delta);
                found.insert(at, (record.key.unwrap()[0], value));
            }
            offset = header.last_offset() + 1;
            rest = &rest[header.size()..];
        }
    }
    found
}

/// The latest record of each key.
fn latest(all: &BTreeMap<i64, (u8, u64)>) -> BTreeMap<u8, (i64, u64)> {
    all.iter()
        .map(|(&at, &(key, value))| (key, (at, value)))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // The reaper may be at work.
        let _ = fs::copy(entry.path(), to.join(entry.file_name()));
    }
}

#[test]
fn a_crash_after_any_step_leaves_the_log_as_it_was_or_as_it_was_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let images = tempfile::tempdir().unwrap();
    let (logs, log) = create(dir.path());
    for value in 0..40 {
        append(&log, (value % 7) as u8, value);
    }
    log.flush().unwrap();
    let before = read(&log);
    let count = keep_images(images.path());
    let segments = log.segment_count();
    log.set_config(config());
    logs.clean(NOW);
    step::on_each(|_| {});
    assert!(log.segment_count() < segments / 2);
    let after = read(&log);
    assert!(after.len() < before.len() / 2);
    assert_eq!(latest(&after), latest(&before));
    let count = count.take();
    assert!(count > 10, "{count} steps");
    for image in 0..count {
        // As if the checkpoint were old, and new.
        for recovery_point in [0, 40] {
            let root = images.path().join(format!("{image}-{recovery_point}"));
            copy(
                &images.path().join(format!("{image}/t-0")),
                &root.join("t-0"),
            );
            let points = format!("0\n1\nt 0 {recovery_point}\n");
            fs::write(root.join(RECOVERY_POINTS), points).unwrap();
            let (logs, recovery) = Logs::open(sample_options(&root), &config()).unwrap();
            assert_eq!(recovery.truncated_bytes, 0, "step {image}");
            let log = &recovery.partitions[0].log;
            assert_eq!((log.start_offset(), log.end_offset()), (0, 40));
            let found = read(log);
            assert_eq!(latest(&found), latest(&before), "step {image}");
            assert!(found.iter().all(|(at, what)| before[at] == *what));
            for entry in fs::read_dir(root.join("t-0")).unwrap() {
                let name = entry.unwrap().file_name();
                let name = name.to_str().unwrap();
                assert!(!super::swap::is_of_swap(name), "step {image}: {name}");
            }
            // It goes on from there.
            append(log, 1, 7000);
            log.flush().unwrap();
            logs.clean(NOW);
            assert_eq!(latest(&read(log))[&1], (40, 7000));
        }
    }
}

/// Copies the log and its recovery point after each step; returns how many there are.
fn keep_images(images: &Path) -> Rc<RefCell<u32>> {
    let count = Rc::new(RefCell::new(0));
    let (taken, into) = (Rc::clone(&count), images.to_owned());
    step::on_each(move |folder| {
        let mut taken = taken.borrow_mut();
        let image = into.join(taken.to_string());
        copy(folder, &image.join("t-0"));
        let points = folder.parent().unwrap().join(RECOVERY_POINTS);
        fs::copy(points, image.join(RECOVERY_POINTS)).unwrap();
        *taken += 1;
    });
    count
}

#[test]
fn a_crash_after_any_step_leaves_no_aborted_transaction_without_its_marker() {
    let dir = tempfile::tempdir().unwrap();
    let images = tempfile::tempdir().unwrap();
    let (logs, log) = create(dir.path());
    let how = Append {
        origin: Origin::Internal,
        leader_epoch: 0,
        now_ms: NOW,
    };
    let marker = Marker {
        commits: false,
        coordinator_epoch: 0,
    };
    for sequence in 0..20 {
        let mut batch = BatchBuilder::new().producer(9, 0, sequence).transactional();
        batch.push(NOW, Some(b"k"), Some(&[0; 8]));
        log.append(&batch.build(), how).unwrap();
        log.append(&marker.batch(9, 0, NOW), how).unwrap();
    }
    let count = keep_images(images.path());
    for pass in 0..4 {
        let now_ms = NOW + i64::from(pass) * 2 * config().delete_retention_ms;
        append(&log, pass, 0);
        append(&log, pass, 1);
        log.roll_if_idle(i64::MAX).unwrap();
        log.flush().unwrap();
        logs.clean(now_ms);
        log.set_config(config());
    }
    step::on_each(|_| {});
    let left = log.aborted(0, log.end_offset()).len();
    assert!(left < 10, "they are not compacted");
    let count = count.take();
    assert!(count > 20, "{count} steps");
    for image in 0..count {
        let root = images.path().join(image.to_string());
        let (_logs, recovery) = Logs::open(sample_options(&root), &config()).unwrap();
        assert_eq!(recovery.truncated_bytes, 0, "step {image}");
        let log = &recovery.partitions[0].log;
        assert_eq!(log.last_stable_offset(), log.end_offset(), "step {image}");
        for aborted in log.aborted(0, log.end_offset()) {
            let read = log.read(aborted.last_offset, i64::MAX, 1, true).unwrap();
            let header = verify(&read.records).unwrap();
            let found = Marker::read(&header, &read.records);
            let at = (header.base_offset, found);
            assert_eq!(at, (aborted.last_offset, Some(marker)), "step {image}");
        }
    }
}

#[test]
fn a_log_that_is_cut_below_what_a_pass_has_read_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, log) = create(dir.path());
    for value in 0..60 {
        append(&log, (value % 7) as u8, value);
    }
    log.flush().unwrap();
    log.begin_pass();
    let before = read(&log);
    let sealed = log.sealed(log.cleanable_end());
    let map_end = sealed.last().unwrap().end_offset;
    log.truncate(map_end - 1).unwrap();
    assert!(!log.end_pass(map_end));
    let first = Arc::clone(&sealed[0].segment);
    let cleaned =
        crate::segment::Segment::existing(log.files(), &dir.path().join("t-0"), 0).unwrap();
    assert!(!log.swap_in(&[first], cleaned, &[], map_end).unwrap());
    assert!(log.first_dirty_offset() == 0);
    logs.clean(NOW);
    let kept = before.range(..map_end - 1).map(|(at, what)| (*at, *what));
    assert_eq!(latest(&read(&log)), latest(&kept.collect()));
}

#[test]
fn a_damaged_log_is_left_as_it_is_and_the_others_are_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, log) = create(dir.path());
    let other = logs.create("u", 0, [1; 16], small()).unwrap();
    for value in 0..60 {
        append(&log, (value % 7) as u8, value);
        append(&other, (value % 7) as u8, value);
    }
    logs.close().unwrap();
    let path = dir.path().join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER_LEN + 5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (logs, recovery) = Logs::open(sample_options(dir.path()), &config()).unwrap();
    let [log, other] = [0, 1].map(|i| &recovery.partitions[i].log);
    let segments = log.segment_count();
    logs.clean(NOW);
    logs.clean(NOW);
    assert_eq!(logs.cleaner_stats().failures, 1);
    assert_eq!(log.segment_count(), segments);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let is_whole = |offset| log.read(offset, i64::MAX, 1, true).is_ok();
    assert_eq!([0, 1, 59].map(is_whole), [false, true, true]);
    assert_eq!(logs.cleaner_stats().passes, 1);
    assert!(other.segment_count() < segments);
}
