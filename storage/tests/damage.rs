//! Damage in files that were durable: told, counted, and nothing around it is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fixture::memory::folder_in_memory;
use fixture::*;
use protocol::record::{BatchBuilder, verify};
use storage::disk::RealDisk;
use storage::{Log, LogConfig, Logs, ReadError};

fn small() -> LogConfig {
    let mut small = config();
    small.segment_bytes = 1500;
    small.index_interval_bytes = 200;
    small
}

/// A directory closed in order with the numbers 0..60 in several segments, a producer, two epochs.
fn closed() -> tempfile::TempDir {
    let (dir, logs, log) = create(&small());
    for i in 0..60_i32 {
        let mut how = CLIENT;
        how.leader_epoch = i / 30;
        let batch = match i % 5 {
            0 => produced(5, 0, i / 5, 1),
            _ => batch_at(NOW + i64::from(i), &[&i.to_be_bytes()]),
        };
        log.append(&batch, how).unwrap();
    }
    drop(log);
    logs.close().unwrap();
    dir
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inner = self::files(&path).into_iter();
            files.extend(inner.map(|(inner, content)| (format!("{name}/{inner}"), content)));
        } else if !name.starts_with('.') || name == ".kafka_cleanshutdown" {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

fn is_log(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "log")
}

fn write_files(dir: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir(dir.join("t-0")).unwrap();
    for (name, content) in files {
        fs::write(dir.join(name), content).unwrap();
    }
}

/// The offsets that can be read one by one, and are whole; all others must be told to be damaged.
fn readable(log: &Log, told: &str) -> Vec<i64> {
    (log.start_offset()..log.end_offset())
        .filter(|&offset| match log.read(offset, i64::MAX, 1, true) {
            Ok(read) => {
                assert!(
                    !read.records.is_empty(),
                    "nothing at {offset}, and no error: {told}"
                );
                let header = verify(&read.records).unwrap_or_else(|e| panic!("{e}: {told}"));
                let holds = (header.base_offset..=header.last_offset()).contains(&offset);
                assert!(holds, "{header:?} at {offset}: {told}");
                true
            }
            Err(ReadError::Corrupt { .. }) => false,
            Err(error) => panic!("{offset}: {error}"),
        })
        .collect()
}

/// Numbers that look random and are the same each time.
fn scattered(count: usize, below: usize) -> impl Iterator<Item = usize> {
    (0..count).scan(12345_u64, move |state, _| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Some((*state >> 33) as usize % below)
    })
}

#[test]
fn a_flipped_bit_anywhere_costs_one_batch_at_most() {
    let dir = closed();
    let files = files(dir.path());
    let count = files.iter().filter(|(name, _)| is_log(name)).count();
    assert!(count > 2, "several segments");
    for (at, (name, content)) in files.iter().enumerate() {
        let bits = content.len() * 8;
        for bit in scattered(bits.min(120), bits.max(1)) {
            for clean in [true, false] {
                let mut files = files.clone();
                files[at].1[bit / 8] ^= 1 << (bit % 8);
                if !clean {
                    files.retain(|(name, _)| name != ".kafka_cleanshutdown");
                }
                let copy = folder_in_memory();
                write_files(copy.path(), &files);
                let told = format!("{name} bit {bit}, clean {clean}");
                check_flipped(copy.path(), name, &told);
            }
        }
    }
}

fn check_flipped(dir: &Path, name: &str, told: &str) {
    let (_logs, log, _) = reopen(dir, &small());
    if name == "log-start-offset-checkpoint" || name == "recovery-point-offset-checkpoint" {
        // A digit that became another one cannot be told from the right one.
        assert!(log.end_offset() >= 60, "{told}");
    } else {
        assert_eq!((log.start_offset(), log.end_offset()), (0, 60), "{told}");
    }
    let seen = readable(&log, told);
    let lost = 60 - seen.iter().filter(|&&offset| offset < 60).count();
    let is_log = is_log(name);
    let checkpoint = name == "log-start-offset-checkpoint";
    assert!(
        lost <= usize::from(is_log) || checkpoint,
        "{told}: {seen:?}"
    );
    for offset in 1..60 {
        if offset % 5 == 0 || is_log || checkpoint {
            continue;
        }
        let found = log.offset_for_timestamp(NOW + offset, 60).unwrap();
        let found = found.map(|found| (found.offset, found.timestamp));
        assert_eq!(found, Some((offset, NOW + offset)), "{told}");
    }
}

/// Batches of two records each, a millisecond apart, in several segments, closed in order.
fn pairs(count: i64) -> (tempfile::TempDir, usize) {
    let (dir, logs, log) = create(&small());
    let mut size = 0;
    for i in 0..count {
        let mut builder = BatchBuilder::new();
        builder.push(NOW + 2 * i, None, Some(b"one"));
        builder.push(NOW + 2 * i + 1, None, Some(b"another"));
        let batch = builder.build();
        size = batch.len();
        append(&log, &batch);
    }
    drop(log);
    logs.close().unwrap();
    (dir, size)
}

#[test]
fn a_batch_with_a_flipped_bit_is_refused_and_no_other_one() {
    const CRC_FROM: usize = 17;
    let (closed, size) = pairs(40);
    let dir = folder_in_memory();
    write_files(dir.path(), &files(closed.path()));
    let path = segment_file(dir.path(), 0, "log");
    let whole = fs::read(&path).unwrap();
    let count = whole.len() / size;
    assert!(count > 6 && whole.len() == count * size);
    let mut seen = 0;
    // The first batch, one in the middle, and the last one of the segment.
    for damaged in [0, count / 2, count - 1] {
        for bit in (CRC_FROM * 8 + damaged % 3..size * 8).step_by(5) {
            let told = format!("batch {damaged}, bit {bit}");
            let mut bytes = whole.clone();
            bytes[damaged * size + bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let (logs, log, _) = reopen(dir.path(), &small());
            let bad = 2 * damaged as i64;
            let expected: Vec<i64> = (0..80).filter(|o| *o != bad && *o != bad + 1).collect();
            assert_eq!(readable(&log, &told), expected, "{told}");
            assert_eq!(logs.corrupt_reads(), 2, "{told}");
            check_reads_around(&log, bad, &told);
            // Look-ups pass it over.
            for time in [bad, bad + 1, bad + 2] {
                let hit = log.offset_for_timestamp(NOW + time, 80).unwrap().unwrap();
                assert_eq!(hit.offset, bad + 2, "{told}, time {time}");
            }
            drop(log);
            logs.close().unwrap();
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}

/// A large read ends before the batch at `bad`, and the next one can begin after it.
fn check_reads_around(log: &Log, bad: i64, told: &str) {
    let mut offsets = Vec::new();
    let mut at = 0;
    while at < log.end_offset() {
        match log.read(at, i64::MAX, 1 << 20, true) {
            Ok(read) => at = for_each_record(&read.records, |offset, _| offsets.push(offset)),
            Err(ReadError::Corrupt { offset, .. }) => {
                assert_eq!((at, offset), (bad, bad), "{told}");
                at += 2;
            }
            Err(error) => panic!("{error}: {told}"),
        }
    }
    let expected: Vec<i64> = (0..80).filter(|o| *o != bad && *o != bad + 1).collect();
    assert_eq!(offsets, expected, "{told}");
}

#[test]
fn the_newest_record_is_the_newest_one_that_can_be_read() {
    let (dir, size) = pairs(40);
    let names = files(dir.path()).into_iter().map(|(name, _)| name);
    let last = names.filter(|name| is_log(name)).max().unwrap();
    let path = dir.path().join(last);
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > size, "more than one batch");
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_logs, log, _) = reopen(dir.path(), &small());
    let newest = log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest.offset, newest.timestamp), (77, NOW + 77));
}

#[test]
fn a_hole_at_the_end_of_a_log_is_an_error_and_counted() {
    let dir = closed();
    // The last file is cut, below its recovery point.
    let names = files(dir.path()).into_iter().map(|(name, _)| name);
    let last = names.filter(|name| is_log(name)).max().unwrap();
    let base: i64 = last[4..24].parse().unwrap();
    fs::write(dir.path().join(last), "").unwrap();
    fs::remove_file(dir.path().join(".kafka_cleanshutdown")).unwrap();
    let (logs, log, _) = reopen(dir.path(), &small());
    assert_eq!(log.end_offset(), 60);
    assert_eq!(logs.corrupt_reads(), 0);
    assert_eq!(readable(&log, "cut"), (0..base).collect::<Vec<_>>());
    assert_eq!(logs.corrupt_reads(), (60 - base) as u64);
    assert!(log.read(60, 61, 1, true).unwrap().records.is_empty());
    append(&log, &batch(&[b"on"]));
    assert_eq!(read_values(&log, 60), [(60, b"on".to_vec())]);
}

#[test]
fn a_damaged_header_below_the_recovery_point_invents_no_producer() {
    const ATTRIBUTES: usize = 21;
    const RECORDS: usize = 61;
    let (dir, damaged) = {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk);
        let (logs, _) = Logs::open_by_hand(disk, options(dir.path()), &config()).unwrap();
        let log = logs.create("t", 0, [7; 16], config()).unwrap();
        let all = [(4, 0), (2, 0), (4, 1), (4, 2), (2, 1)].map(|(id, at)| produced(id, 0, at, 1));
        for batch in &all {
            append(&log, batch);
        }
        log.flush().unwrap();
        // Moves the recovery point. There is no snapshot: all the batches are asked.
        logs.keep_house(NOW);
        let size = all[0].len();
        (dir, [2 * size, 4 * size])
    };
    let files = files(dir.path());
    let at = files.iter().position(|(name, _)| is_log(name)).unwrap();
    for position in damaged {
        for bit in ATTRIBUTES * 8..RECORDS * 8 {
            let mut files = files.clone();
            files[at].1[position + bit / 8] ^= 1 << (bit % 8);
            let copy = folder_in_memory();
            write_files(copy.path(), &files);
            let (_logs, log, recovery) = reopen(copy.path(), &config());
            let told = format!("batch at {position}, bit {bit}");
            assert!(!recovery.clean, "{told}");
            assert_eq!(log.end_offset(), 5, "{told}");
            assert_eq!(log.last_stable_offset(), 5, "{told}");
            let found: Vec<_> = log
                .producers()
                .iter()
                .map(|p| (p.producer_id, p.producer_epoch, p.last_sequence))
                .collect();
            // Of the last batch of a producer nothing is known if it is damaged.
            let second = i32::from(found[0] != (2, 0, 0));
            assert_eq!(found, [(2, 0, second), (4, 0, 2)], "{told}");
            assert!(second == 1 || position == damaged[1], "{told}");
        }
    }
}

#[test]
fn a_flush_comes_when_flush_ms_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.flush_ms = 1000;
    let (logs, _) = Logs::open_by_hand(Arc::new(RealDisk), options(dir.path()), &config).unwrap();
    let log = logs.create("t", 0, [7; 16], config).unwrap();
    append(&log, &batch(&[b"a"]));
    append(&log, &batch(&[b"b"]));
    for (now_ms, flushed) in [(NOW, 0), (NOW + 999, 0), (NOW + 1000, 2)] {
        logs.keep_house(now_ms);
        logs.flush_requested();
        assert_eq!(log.flushed_offset(), flushed);
    }
}
