//! Appending and reading one log.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use fixture::*;
use protocol::record::{
    Attributes, BatchBuilder, BatchHeader, Compression, RecordError, TimestampType, verify,
};
use storage::{Append, AppendError, LogObserver, Origin, ReadError};

#[test]
fn what_is_appended_is_read_with_offsets_and_epoch() {
    let (_dir, _logs, log) = create(&config());
    assert_eq!((log.start_offset(), log.end_offset()), (0, 0));
    let first = append(&log, &batch(&[b"a", b"b"]));
    assert_eq!((first.base_offset, first.last_offset), (0, 1));
    assert_eq!((first.duplicate, first.log_append_time_ms), (false, -1));
    let how = Append {
        leader_epoch: 5,
        ..CLIENT
    };
    let second = log.append(&batch(&[b"c"]), how).unwrap();
    assert_eq!((second.base_offset, second.last_offset), (2, 2));
    let values = read_values(&log, 0);
    let expected = [(0, b"a".to_vec()), (1, b"b".to_vec()), (2, b"c".to_vec())];
    assert_eq!(values, expected);
    let read = log.read(2, i64::MAX, 1 << 20, true).unwrap();
    assert_eq!(verify(&read.records).unwrap().leader_epoch, 5);
    assert!(read.resident);
    assert_eq!(log.latest_epoch(), 5);
    let end = log.epoch_end(0).unwrap();
    assert_eq!((end.leader_epoch, end.end_offset), (0, 2));
}

#[test]
fn a_read_is_whole_batches_within_its_bounds() {
    let (_dir, _logs, log) = create(&config());
    let one = batch(&[b"a", b"b"]);
    for _ in 0..3 {
        append(&log, &one);
    }
    let read = |offset, up_to, max_bytes, min_one| {
        log.read(offset, up_to, max_bytes, min_one)
            .unwrap()
            .records
            .len()
    };
    let size = one.len();
    assert_eq!(read(0, 6, usize::MAX, false), 3 * size);
    assert_eq!(
        read(1, 6, usize::MAX, false),
        3 * size,
        "the batch that holds 1 comes whole"
    );
    assert_eq!(read(2, 6, usize::MAX, false), 2 * size);
    assert_eq!(read(0, 4, usize::MAX, false), 2 * size);
    assert_eq!(
        read(0, 3, usize::MAX, false),
        size,
        "offset 3 is in a batch that is not below 3"
    );
    assert_eq!(read(0, 6, 3 * size - 1, false), 2 * size);
    assert_eq!(read(0, 6, 1, true), size);
    assert_eq!(read(0, 6, 1, false), 0);
    assert_eq!(read(6, 9, 1, true), 0);
    assert_eq!(read(3, 2, usize::MAX, true), 0);
    for offset in [-1, 7] {
        let error = log.read(offset, 9, 1, true).unwrap_err();
        assert!(matches!(
            error,
            ReadError::OutOfRange {
                start: 0,
                end: 6,
                ..
            }
        ));
    }
}

#[test]
fn bad_batches_are_refused_and_leave_no_trace() {
    let (_dir, _logs, log) = create(&config());
    let good = batch(&[b"a"]);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        try_append(&log, &bytes).unwrap_err()
    };
    let crc = changed(&|b| *b.last_mut().unwrap() ^= 1);
    assert!(
        matches!(crc, AppendError::Record(RecordError::BadCrc { .. })),
        "{crc:?}"
    );
    let magic = changed(&|b| b[16] = 1);
    assert!(
        matches!(magic, AppendError::Record(RecordError::BadMagic(1))),
        "{magic:?}"
    );
    let cut = changed(&|b| b.truncate(b.len() - 1));
    assert!(
        matches!(cut, AppendError::Record(RecordError::Truncated { .. })),
        "{cut:?}"
    );
    let two = changed(&|b| b.extend_from_within(..));
    assert!(matches!(two, AppendError::BatchCount(2)), "{two:?}");
    let none = changed(&|b| b.clear());
    assert!(matches!(none, AppendError::BatchCount(0)), "{none:?}");
    let offset = changed(&|b| b[7] = 1);
    assert!(
        matches!(offset, AppendError::Record(RecordError::BadHeader(_))),
        "{offset:?}"
    );
    let mut control = BatchBuilder::new().control();
    control.push(NOW, Some(b"k"), Some(b"v"));
    let control = try_append(&log, &control.build()).unwrap_err();
    assert!(
        matches!(control, AppendError::Record(RecordError::BadHeader(_))),
        "{control:?}"
    );
    assert_eq!((log.end_offset(), log.size_bytes()), (0, 0));
    append(&log, &good);
    assert_eq!(read_values(&log, 0).len(), 1);
}

#[test]
fn limits_of_size_are_kept() {
    let mut small = config();
    small.max_message_bytes = 200;
    small.segment_bytes = 300;
    let (_dir, _logs, log) = create(&small);
    let large = batch(&[&[b'x'; 200]]);
    let error = try_append(&log, &large).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { size, limit: 200 } if size == large.len()));
    // The broker's own batches are bound by the segment only.
    let how = Append {
        origin: Origin::Internal,
        ..CLIENT
    };
    log.append(&large, how).unwrap();
    let error = log.append(&batch(&[&[b'x'; 300]]), how).unwrap_err();
    assert!(matches!(
        error,
        AppendError::LargerThanSegment { limit: 300, .. }
    ));
}

#[test]
fn timestamps_are_checked_by_the_topics_rule() {
    let mut strict = config();
    strict.timestamp_before_max_ms = 1000;
    strict.timestamp_after_max_ms = 1000;
    let (_dir, _logs, log) = create(&strict);
    append(&log, &batch_at(NOW - 1000, &[b"a"]));
    append(&log, &batch_at(NOW + 999, &[b"a", b"b"]));
    append(&log, &batch_at(-1, &[b"a"]));
    let late = try_append(&log, &batch_at(NOW + 999, &[b"a", b"b", b"c"])).unwrap_err();
    assert!(
        matches!(late, AppendError::Timestamp { index: 2, timestamp } if timestamp == NOW + 1001)
    );
    let early = try_append(&log, &batch_at(NOW - 1001, &[b"a", b"b"])).unwrap_err();
    assert!(matches!(early, AppendError::Timestamp { index: 0, .. }));
    let mut packed = BatchBuilder::new().compression(Compression::Lz4);
    packed.push(NOW + 1001, None, None);
    let packed = try_append(&log, &packed.build()).unwrap_err();
    assert!(matches!(packed, AppendError::Timestamp { .. }));
}

#[test]
fn log_append_time_is_the_brokers() {
    let mut stamped = config();
    stamped.timestamp_type = TimestampType::LogAppendTime;
    let (_dir, _logs, log) = create(&stamped);
    let appended = append(&log, &batch_at(5, &[b"a", b"b"]));
    assert_eq!(appended.log_append_time_ms, NOW);
    let read = log.read(0, 2, 1 << 20, true).unwrap();
    let header: BatchHeader = verify(&read.records).unwrap();
    assert_eq!(header.max_timestamp, NOW);
    assert_eq!(
        header.attributes.timestamp_type(),
        TimestampType::LogAppendTime
    );
    let found = log.offset_for_timestamp(NOW, 2).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (0, NOW));
}

#[test]
fn a_wrong_max_timestamp_is_repaired() {
    let (_dir, _logs, log) = create(&config());
    let mut bytes = batch(&[b"a", b"b"]).to_vec();
    protocol::record::stamp_max_timestamp(&mut bytes, NOW);
    append(&log, &bytes);
    let read = log.read(0, 2, 1 << 20, true).unwrap();
    assert_eq!(verify(&read.records).unwrap().max_timestamp, NOW + 1);
}

#[test]
fn compacted_topics_need_keys_compressed_or_not() {
    let mut compacted = config();
    compacted.cleanup.compact = true;
    let (_dir, _logs, log) = create(&compacted);
    for codec in [Compression::None, Compression::Zstd] {
        let build = |keys: &[Option<&[u8]>]| {
            let mut builder = BatchBuilder::new().compression(codec);
            for key in keys {
                builder.push(NOW, *key, Some(b"v"));
            }
            builder.build()
        };
        append(&log, &build(&[Some(b"k"), Some(b"")]));
        let error = try_append(&log, &build(&[None, Some(b"k"), None])).unwrap_err();
        assert!(matches!(error, AppendError::MissingKey { indexes } if indexes == [0, 2]));
    }
}

#[test]
fn internal_appends_take_many_batches_at_once() {
    let (_dir, _logs, log) = create(&config());
    append(&log, &batch(&[b"x"]));
    let mut control = BatchBuilder::new()
        .control()
        .producer(9, 1, -1)
        .transactional();
    control.push(NOW, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 3]));
    let many = [batch(&[b"a", b"b"]), batch(&[b"c"]), control.build()].concat();
    let how = Append {
        origin: Origin::Internal,
        ..CLIENT
    };
    let appended = log.append(&many, how).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (1, 4));
    assert_eq!(read_values(&log, 0).len(), 5);
    let producers = log.producers();
    assert_eq!(
        (producers[0].producer_id, producers[0].coordinator_epoch),
        (9, 3)
    );
}

#[test]
fn segments_roll_by_size_by_time_and_by_full_index() {
    let one = batch(&[&[b'x'; 100]]);
    let mut by_size = config();
    by_size.segment_bytes = 3 * one.len() as u32;
    let (dir, _logs, log) = create(&by_size);
    for _ in 0..7 {
        append(&log, &one);
    }
    assert_eq!(log.segment_count(), 3);
    for base_offset in [0, 3, 6] {
        assert!(segment_file(dir.path(), base_offset, "log").exists());
    }
    assert_eq!(read_values(&log, 0).len(), 7);
    assert_eq!(log.size_bytes(), 7 * one.len() as u64);

    let mut by_time = config();
    by_time.segment_ms = 1000;
    let (_dir, _logs, log) = create(&by_time);
    for timestamp in [NOW, NOW + 1000, NOW + 1001, NOW + 1500] {
        append(&log, &batch_at(timestamp, &[b"x"]));
    }
    assert_eq!(log.segment_count(), 2);

    let mut by_index = config();
    by_index.segment_index_bytes = 12 * 3;
    by_index.index_interval_bytes = 0;
    let (_dir, _logs, log) = create(&by_index);
    for i in 0..6 {
        append(&log, &batch_at(NOW + i, &[b"x"]));
    }
    assert_eq!(
        log.segment_count(),
        2,
        "two entries of the time index and one for the roll"
    );
}

#[test]
fn slices_outlive_everything() {
    let mut small = config();
    small.segment_bytes = 4096;
    let (_dir, logs, log) = create(&small);
    for i in 0..100_u32 {
        append(&log, &batch(&[&i.to_be_bytes().repeat(64)]));
    }
    let slices: Vec<(i64, Bytes)> = (0..100)
        .map(|offset| (offset, log.read(offset, i64::MAX, 1, true).unwrap().records))
        .collect();
    log.delete_records(50).unwrap();
    log.truncate(70).unwrap();
    append(&log, &batch(&[b"after"]));
    logs.delete("t", 0).unwrap();
    assert!(matches!(log.read(60, 70, 1, true), Err(ReadError::Closed)));
    assert!(matches!(
        try_append(&log, &batch(&[b"x"])),
        Err(AppendError::Closed)
    ));
    drop(log);
    logs.close().unwrap();
    drop(logs);
    for (offset, slice) in slices {
        for_each_record(&slice, |found, value| {
            assert_eq!(found, offset);
            assert_eq!(value, (offset as u32).to_be_bytes().repeat(64));
        });
    }
}

struct Flushes(Mutex<mpsc::Sender<i64>>);

impl LogObserver for Flushes {
    fn flushed(&self, offset: i64) {
        let _ = self.0.lock().unwrap().send(offset);
    }
    fn start_moved(&self, _: i64) {}
    fn poisoned(&self) {}
    fn truncated(&self, _: i64) {}
}

#[test]
fn a_requested_flush_is_told() {
    let (_dir, logs, log) = create(&config());
    let (sender, flushes) = mpsc::channel();
    log.set_observer(Arc::new(Flushes(Mutex::new(sender))));
    logs.on_flush_latency(Box::new(|seconds| assert!(seconds >= 0.0)));
    for i in 1..20 {
        append(&log, &batch(&[b"x"]));
        log.request_flush();
        while flushes.recv_timeout(Duration::from_secs(30)).unwrap() < i {}
        assert!(log.flushed_offset() >= i);
    }
    append(&log, &batch(&[b"x"]));
    log.flush().unwrap();
    assert_eq!(log.flushed_offset(), 20);
}

#[test]
fn flush_messages_forces_a_flush() {
    let mut eager = config();
    eager.flush_messages = 3;
    let (_dir, _logs, log) = create(&eager);
    let (sender, flushes) = mpsc::channel();
    log.set_observer(Arc::new(Flushes(Mutex::new(sender))));
    for _ in 0..3 {
        append(&log, &batch(&[b"x"]));
    }
    assert_eq!(flushes.recv_timeout(Duration::from_secs(30)), Ok(3));
}

#[test]
fn attributes_of_a_stored_batch_are_the_producers() {
    let (_dir, _logs, log) = create(&config());
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.push(NOW, Some(b"key"), Some(&[b'v'; 1000]));
        let sent = builder.build();
        let offset = append(&log, &sent).base_offset;
        let stored = log.read(offset, i64::MAX, 1, true).unwrap().records;
        assert_eq!(stored[16..], sent[16..]);
        let attributes: Attributes = verify(&stored).unwrap().attributes;
        assert_eq!(attributes.compression(), Ok(codec));
    }
}
