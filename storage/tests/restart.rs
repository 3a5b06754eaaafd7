//! What comes back after a clean shutdown and after a crash. A crash is a [`Logs`] that is dropped
//! without being closed: what is in the mapping stays, as after kill -9, and nothing else is written.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::path::Path;

use fixture::*;
use protocol::record::BatchBuilder;
use storage::{Append, AppendError, LogConfig, Logs, OpenError, ReadError};

fn append_numbers(log: &storage::Log, from: u32, to: u32) {
    for i in from..to {
        append(log, &batch(&[&i.to_be_bytes()]));
    }
}

fn assert_numbers(log: &storage::Log, from: u32, to: u32) {
    let expected: Vec<(i64, Vec<u8>)> = (from..to)
        .map(|i| (i64::from(i), i.to_be_bytes().to_vec()))
        .collect();
    assert_eq!(read_values(log, i64::from(from)), expected);
    assert_eq!(log.end_offset(), i64::from(to));
}

#[test]
fn everything_comes_back_over_clean_and_unclean_restarts() {
    let mut small = config();
    small.segment_bytes = 1000;
    small.index_interval_bytes = 100;
    let (dir, logs, log) = create(&small);
    append_numbers(&log, 0, 50);
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let mut at = 50;
    for round in 0..6 {
        let (logs, log, recovery) = reopen(dir.path(), &small);
        assert_eq!(recovery.clean, round % 2 == 0);
        assert_eq!(recovery.truncated_bytes, 0);
        assert_eq!(recovery.partitions[0].topic_id, [7; 16]);
        assert_eq!(recovery.scanned_batches > 0, !recovery.clean);
        assert_numbers(&log, 0, at);
        append_numbers(&log, at, at + 33);
        at += 33;
        assert_numbers(&log, 0, at);
        assert_eq!(log.start_offset(), 0);
        if round % 2 == 1 {
            logs.close().unwrap();
        }
    }
}

#[test]
fn a_clean_shutdown_leaves_files_of_their_exact_size() {
    let (dir, logs, log) = create(&config());
    append_numbers(&log, 0, 5);
    let size = log.size_bytes();
    logs.close().unwrap();
    assert_eq!(
        fs::metadata(segment_file(dir.path(), 0, "log"))
            .unwrap()
            .len(),
        size
    );
    for name in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
        assert!(dir.path().join(name).exists(), "{name}");
    }
    let checkpoint = fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint"));
    assert_eq!(checkpoint.unwrap(), "0\n1\nt 0 5\n");
    let epochs = partition_dir(dir.path()).join("leader-epoch-checkpoint");
    assert_eq!(fs::read_to_string(epochs).unwrap(), "0\n1\n0 0\n");
    assert!(segment_file(dir.path(), 5, "snapshot").exists());
}

#[test]
fn an_idle_log_takes_no_space() {
    let (dir, _logs, _log) = create(&config());
    assert!(!segment_file(dir.path(), 0, "log").exists());
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A directory as a crash leaves it, with ten batches of which none is known to be durable, and the
/// bytes of its segment.
fn crashed() -> (tempfile::TempDir, Vec<u8>, usize) {
    let (dir, logs, log) = create(&config());
    append_numbers(&log, 0, 10);
    let size = log.size_bytes() as usize;
    drop((logs, log));
    let bytes = fs::read(segment_file(dir.path(), 0, "log")).unwrap();
    assert!(bytes.len() > size, "space is reserved after the end");
    (dir, bytes, size)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_whole_batches() {
    let (dir, bytes, size) = crashed();
    let batch_size = size / 10;
    for cut in size - 2 * batch_size..=size {
        // Bytes after the cut never reached the disk: once as a short file, once as zeros.
        for zeros in [0, 5000] {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            let file = [&bytes[..cut], &vec![0; zeros]].concat();
            fs::write(segment_file(copy.path(), 0, "log"), &file).unwrap();
            let (_logs, log, recovery) = reopen(copy.path(), &config());
            // A last byte that is zero anyway is not missed.
            let is_whole = |i: &usize| {
                let range = i * batch_size..(i + 1) * batch_size;
                file.get(range.clone()) == Some(&bytes[range])
            };
            let whole = (0..10).take_while(is_whole).count();
            assert!(whole == cut / batch_size || zeros > 0 && bytes[cut] == 0);
            assert_numbers(&log, 0, whole as u32);
            let copies: Vec<Vec<u8>> = fs::read_dir(partition_dir(copy.path()))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "corrupt"))
                .map(|path| fs::read(path).unwrap())
                .collect();
            let torn = &file[whole * batch_size..];
            let kept = torn
                .iter()
                .rposition(|&b| b != 0)
                .map_or(0, |last| last + 1);
            assert_eq!(recovery.truncated_bytes, kept as u64, "cut at {cut}");
            let expected: Vec<&[u8]> = (kept > 0).then_some(&torn[..kept]).into_iter().collect();
            assert_eq!(copies, expected);
            append_numbers(&log, whole as u32, 12);
            assert_numbers(&log, 0, 12);
        }
    }
}

#[test]
fn a_flipped_bit_above_the_recovery_point_ends_the_log_there() {
    let (dir, bytes, size) = crashed();
    let batch_size = size / 10;
    for bit in (0..batch_size * 8).step_by(7) {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let mut flipped = bytes.clone();
        flipped[5 * batch_size + bit / 8] ^= 1 << (bit % 8);
        fs::write(segment_file(copy.path(), 0, "log"), flipped).unwrap();
        let (_logs, log, _) = reopen(copy.path(), &config());
        // The leader epoch lies outside the checksum, and a smaller base offset is out of order.
        let byte = bit / 8;
        let unprotected = (12..16).contains(&byte);
        if unprotected {
            assert_numbers(&log, 0, 10);
        } else if byte < 8 {
            assert!(log.end_offset() >= 5);
        } else {
            assert_numbers(&log, 0, 5);
        }
    }
}

#[test]
fn damage_below_the_recovery_point_is_served_as_corrupt_and_hides_nothing() {
    let mut small = config();
    small.segment_bytes = 2000;
    small.index_interval_bytes = 100;
    let (dir, logs, log) = create(&small);
    append_numbers(&log, 0, 100);
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let batch_size = batch(&[&[0; 4]]).len();
    // A length in the first segment, and in the last one, which was closed in order.
    let last_base = {
        let (logs, log, _) = reopen(dir.path(), &small);
        assert_numbers(&log, 0, 100);
        let names = fs::read_dir(partition_dir(dir.path())).unwrap();
        let bases = names.filter_map(|entry| {
            let path = entry.unwrap().path();
            let log_file = path.extension().is_some_and(|e| e == "log");
            log_file.then(|| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
        });
        let last: i64 = bases.max().unwrap();
        logs.close().unwrap();
        last
    };
    for base_offset in [0, last_base] {
        let path = segment_file(dir.path(), base_offset, "log");
        let mut bytes = fs::read(&path).unwrap();
        bytes[3 * batch_size + 9] ^= 0x10;
        fs::write(&path, bytes).unwrap();
    }
    for index_lost in [false, true] {
        if index_lost {
            fs::remove_file(segment_file(dir.path(), 0, "index")).unwrap();
        }
        let (logs, log, recovery) = reopen(dir.path(), &small);
        assert_eq!(log.end_offset(), 100);
        assert_eq!(recovery.truncated_bytes, 0);
        for offset in 0..100 {
            let read = log.read(offset, 100, 1, true);
            if offset == 3 || offset == last_base + 3 {
                assert!(
                    matches!(read, Err(ReadError::Corrupt { .. })),
                    "{offset}: {read:?}"
                );
            } else {
                let mut seen = Vec::new();
                for_each_record(&read.unwrap().records, |offset, _| seen.push(offset));
                assert_eq!(seen, [offset]);
            }
        }
        logs.close().unwrap();
    }
}

#[test]
fn lost_or_damaged_indexes_and_snapshots_are_made_again() {
    let mut small = config();
    small.segment_bytes = 2000;
    small.index_interval_bytes = 100;
    let (dir, logs, log) = create(&small);
    for i in 0..100 {
        append(&log, &produced(5, 0, i, 1));
    }
    let producers = log.producers();
    drop(log);
    logs.close().unwrap();
    drop(logs);
    for damage in 0..4 {
        for entry in fs::read_dir(partition_dir(dir.path())).unwrap() {
            let path = entry.unwrap().path();
            let kind = path
                .extension()
                .and_then(|e| e.to_str())
                .unwrap_or_default();
            if !matches!(kind, "index" | "timeindex" | "snapshot") {
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            match damage {
                0 => fs::remove_file(&path).unwrap(),
                1 => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                2 => fs::write(&path, vec![0; bytes.len()]).unwrap(),
                _ => {
                    bytes.iter_mut().step_by(5).for_each(|b| *b ^= 0x55);
                    fs::write(&path, bytes).unwrap();
                }
            }
        }
        let (logs, log, _) = reopen(dir.path(), &small);
        assert_eq!(log.end_offset(), 100);
        assert_eq!(log.producers(), producers);
        for offset in 0..100 {
            let read = log.read(offset, 100, 1, true).unwrap().records;
            for_each_record(&read, |found, _| assert_eq!(found, offset));
        }
        logs.close().unwrap();
    }
}

#[test]
fn duplicates_are_known_after_a_crash_and_after_a_clean_restart() {
    let (dir, logs, log) = create(&config());
    for i in 0..7 {
        append(&log, &produced(5, 1, i * 3, 3));
    }
    drop((log, logs));
    let (logs, log, _) = reopen(dir.path(), &config());
    for i in 2..7 {
        let again = append(&log, &produced(5, 1, i * 3, 3));
        assert!(again.duplicate);
        assert_eq!(
            (again.base_offset, again.last_offset),
            (i64::from(i) * 3, i64::from(i) * 3 + 2)
        );
    }
    let forgotten = try_append(&log, &produced(5, 1, 3, 3)).unwrap_err();
    assert!(matches!(
        forgotten,
        AppendError::OutOfOrderSequence {
            expected: 21,
            got: 3,
            ..
        }
    ));
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let (_logs, log, _) = reopen(dir.path(), &config());
    assert!(append(&log, &produced(5, 1, 18, 3)).duplicate);
    let fenced = try_append(&log, &produced(5, 0, 21, 1)).unwrap_err();
    assert!(matches!(
        fenced,
        AppendError::FencedProducer { current: 1, .. }
    ));
    assert_eq!(append(&log, &produced(5, 1, 21, 1)).base_offset, 21);
    assert_eq!(append(&log, &produced(5, 2, 0, 1)).base_offset, 22);
}

#[test]
fn a_second_process_is_told_that_the_directory_is_in_use() {
    let (dir, logs, _log) = create(&config());
    let error = Logs::open(options(dir.path()), &config()).unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)));
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    logs.close().unwrap();
    Logs::open(options(dir.path()), &config()).unwrap();
}

#[test]
fn deleted_records_stay_deleted_and_offsets_go_on() {
    let mut small = config();
    small.segment_bytes = 1000;
    for clean in [true, false] {
        let (dir, logs, log) = create(&small);
        append_numbers(&log, 0, 40);
        assert_eq!(log.delete_records(25).unwrap(), 25);
        assert!(log.size_bytes() < 3000);
        let error = log.read(24, 40, 1, true).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { start: 25, .. }));
        if clean {
            logs.close().unwrap();
        }
        drop((log, logs));
        let (logs, log, _) = reopen(dir.path(), &small);
        assert_eq!(log.start_offset(), 25);
        assert_numbers(&log, 25, 40);
        assert_eq!(log.delete_records(40).unwrap(), 40);
        assert_eq!(log.size_bytes(), 0);
        assert!(log.delete_records(41).is_err());
        if clean {
            logs.close().unwrap();
        }
        drop((log, logs));
        let (_logs, log, _) = reopen(dir.path(), &small);
        assert_eq!((log.start_offset(), log.end_offset()), (40, 40));
        append_numbers(&log, 40, 45);
        assert_numbers(&log, 40, 45);
    }
}

#[test]
fn a_topic_made_again_knows_nothing_of_the_old_one() {
    let (dir, logs, log) = create(&config());
    append_numbers(&log, 0, 40);
    log.delete_records(20).unwrap();
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let (logs, log, _) = reopen(dir.path(), &config());
    drop(log);
    logs.delete("t", 0).unwrap();
    assert!(logs.delete("t", 0).is_err());
    let log = logs.create("t", 0, [8; 16], config()).unwrap();
    assert!(logs.create("t", 0, [8; 16], config()).is_err());
    append_numbers(&log, 0, 3);
    drop((log, logs));
    let (_logs, log, recovery) = reopen(dir.path(), &config());
    assert_eq!(recovery.partitions[0].topic_id, [8; 16]);
    assert_eq!(log.start_offset(), 0);
    assert_numbers(&log, 0, 3);
}

#[test]
fn many_partitions_are_made_at_once_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = open(dir.path(), &config());
    let made = logs.create_many("many", 0..50, [1; 16], &config()).unwrap();
    assert_eq!(made.len(), 50);
    append(&made[17], &batch(&[b"x"]));
    drop((made, logs));
    let (logs, recovery) = open(dir.path(), &config());
    let partitions: Vec<i32> = recovery.partitions.iter().map(|p| p.partition).collect();
    assert_eq!(partitions, (0..50).collect::<Vec<i32>>());
    assert_eq!(recovery.partitions[17].log.end_offset(), 1);
    let (total, free) = logs.disk_space().unwrap();
    assert!(total > free && free > 0);
}

#[test]
fn leader_epochs_survive_and_are_cut_with_the_log() {
    let (dir, logs, log) = create(&config());
    for epoch in [0, 0, 2, 2, 5] {
        let how = Append {
            leader_epoch: epoch,
            ..CLIENT
        };
        log.append(&batch(&[b"x"]), how).unwrap();
    }
    drop((log, logs));
    let (logs, log, _) = reopen(dir.path(), &config());
    let end = |epoch| {
        log.epoch_end(epoch)
            .map(|end| (end.leader_epoch, end.end_offset))
    };
    assert_eq!(end(0), Some((0, 2)));
    assert_eq!(end(1), Some((0, 2)));
    assert_eq!(end(3), Some((2, 4)));
    assert_eq!(end(5), Some((5, 5)));
    assert_eq!(end(6), None);
    log.truncate(3).unwrap();
    assert_eq!((log.latest_epoch(), log.end_offset()), (2, 3));
    drop((log, logs));
    let (_logs, log, _) = reopen(dir.path(), &config());
    assert_eq!((log.latest_epoch(), log.end_offset()), (2, 3));
}

#[test]
fn an_index_of_before_the_last_crash_is_not_believed() {
    let (dir, logs, log) = create(&config());
    append(&log, &batch_at(NOW, &[b"a"]));
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let (logs, log, _) = reopen(dir.path(), &config());
    append(&log, &batch_at(NOW + 5, &[b"b"]));
    drop((log, logs));
    let (_logs, log, recovery) = reopen(dir.path(), &config());
    assert!(!recovery.clean);
    let newest = log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest.offset, newest.timestamp), (1, NOW + 5));
}

#[test]
fn times_are_found_in_every_segment_and_codec() {
    let mut small = config();
    small.segment_bytes = 2000;
    small.index_interval_bytes = 100;
    let (dir, logs, log) = create(&small);
    let codec = |i: i64| match i % 3 {
        0 => protocol::record::Compression::None,
        1 => protocol::record::Compression::Lz4,
        _ => protocol::record::Compression::Gzip,
    };
    for i in 0..60 {
        let mut builder = BatchBuilder::new().compression(codec(i));
        // Two records, 10 ms apart, and the batches 20 ms.
        builder.push(NOW + i * 20, None, Some(&[b'x'; 60]));
        builder.push(NOW + i * 20 + 10, None, Some(&[b'y'; 60]));
        append(&log, &builder.build());
    }
    let check = |log: &storage::Log| {
        for i in 0..120 {
            for before in [0, 9] {
                let found = log
                    .offset_for_timestamp(NOW + i * 10 - before, 120)
                    .unwrap()
                    .unwrap();
                assert_eq!((found.offset, found.timestamp), (i, NOW + i * 10));
            }
        }
        assert_eq!(log.offset_for_timestamp(NOW + 1191, 120).unwrap(), None);
        assert_eq!(log.offset_for_timestamp(NOW + 1000, 100).unwrap(), None);
        let newest = log.max_timestamp().unwrap().unwrap();
        assert_eq!((newest.offset, newest.timestamp), (119, NOW + 1190));
    };
    check(&log);
    drop((log, logs));
    let (logs, log, _) = reopen(dir.path(), &small);
    check(&log);
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let (_logs, log, _) = reopen(dir.path(), &small);
    check(&log);
    log.delete_records(51).unwrap();
    let found = log.offset_for_timestamp(0, 120).unwrap().unwrap();
    assert_eq!(found.offset, 51);
    log.delete_records(120).unwrap();
    assert_eq!(log.offset_for_timestamp(0, 120).unwrap(), None);
    assert_eq!(log.max_timestamp().unwrap(), None);
}

/// A crashed directory with segments of three batches, numbers 0..5.
fn crashed_after_a_roll() -> (tempfile::TempDir, LogConfig, u64) {
    let mut small = config();
    let size = 3 * batch(&[&[0; 4]]).len() as u32;
    small.segment_bytes = size;
    let (dir, logs, log) = create(&small);
    append_numbers(&log, 0, 5);
    drop((log, logs));
    (dir, small, u64::from(size))
}

#[test]
fn a_segment_that_ends_at_the_recovery_point_is_not_taken_as_sealed() {
    let (dir, small, size) = crashed_after_a_roll();
    // The recovery point was written, then the segment was rolled, then power went: the file has
    // reserved space at its end still, and the content of the index files never got to the disk.
    let checkpoint = dir.path().join("recovery-point-offset-checkpoint");
    fs::write(checkpoint, "0\n1\nt 0 3\n").unwrap();
    let path = segment_file(dir.path(), 0, "log");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(size + 65_536).unwrap();
    for extension in ["index", "timeindex"] {
        fs::write(segment_file(dir.path(), 0, extension), "").unwrap();
    }
    let (_logs, log, recovery) = reopen(dir.path(), &small);
    assert_eq!(recovery.truncated_bytes, 0);
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    let first = log.offset_for_timestamp(NOW, 5).unwrap().unwrap();
    assert_eq!(first.offset, 0);
    assert_numbers(&log, 0, 5);
}

#[test]
fn rubbish_at_the_end_of_a_segment_does_not_take_the_next_one_away() {
    let (dir, small, size) = crashed_after_a_roll();
    // Half of a batch that failed to be written, before the log was rolled.
    let path = segment_file(dir.path(), 0, "log");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(size as usize);
    bytes.extend_from_slice(&[7; 30]);
    fs::write(&path, bytes).unwrap();
    let (_logs, log, recovery) = reopen(dir.path(), &small);
    assert_eq!(recovery.truncated_bytes, 30);
    assert_numbers(&log, 0, 5);
}

#[test]
fn an_index_that_cannot_be_written_leaves_no_old_one_behind() {
    let mut small = config();
    small.segment_bytes = 3 * batch(&[b"a"]).len() as u32;
    let (dir, logs, log) = create(&small);
    append(&log, &batch_at(NOW, &[b"a"]));
    drop(log);
    logs.close().unwrap();
    drop(logs);
    let (logs, log, _) = reopen(dir.path(), &small);
    let in_the_way = segment_file(dir.path(), 0, "timeindex.tmp");
    fs::create_dir(&in_the_way).unwrap();
    for time in [NOW + 5, NOW + 6, NOW + 2] {
        append(&log, &batch_at(time, &[b"b"]));
    }
    drop(log);
    logs.close().unwrap();
    drop(logs);
    fs::remove_dir(&in_the_way).unwrap();
    let (_logs, log, recovery) = reopen(dir.path(), &small);
    assert!(recovery.clean);
    let newest = log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest.offset, newest.timestamp), (2, NOW + 6));
}
