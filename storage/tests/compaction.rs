//! Compaction against a plain map: random keyed batches of several producers in all codecs, with
//! tombstones, rolls, passes, cuts, restarts, and a reader that looks on.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fixture::{CLIENT, NOW};
use protocol::record::{
    BatchBuilder, BatchHeader, Compression, TimestampType, decompress, records, verify,
};
use storage::{Append, Cleanup, Log, LogConfig, Logs, Origin, StorageOptions};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const DAY: i64 = 86_400_000;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 200,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: DAY,
        ..fixture::config()
    }
}

fn options(dir: &Path) -> StorageOptions {
    StorageOptions {
        // Some fifty keys: passes come in several parts.
        cleaner_map_bytes: 2048,
        ..fixture::options(dir)
    }
}

/// Timestamp, key, value.
type Record = (i64, Vec<u8>, Option<Vec<u8>>);

/// Records by offset as a consumer reads them, and what the batches' headers tell.
#[derive(Debug, Default)]
struct Found {
    records: BTreeMap<i64, Record>,
    headers: Vec<BatchHeader>,
}

fn read_batches(bytes: &[u8], found: &mut Found) -> i64 {
    let mut rest = bytes;
    let mut next = 0;
    while !rest.is_empty() {
        let header = verify(rest).unwrap();
        let body = decompress(&header, rest, 1 << 20).unwrap();
        for record in records(&header, &body) {
            let record = record.unwrap();
            assert_eq!(record.headers().count(), 2, "both headers of one name");
            let value = record.value.map(<[u8]>::to_vec);
            found.records.insert(
                header.base_offset + i64::from(record.offset_delta),
                (
                    header.base_timestamp + record.timestamp_delta,
                    record.key.unwrap().to_vec(),
                    value,
                ),
            );
        }
        next = header.last_offset() + 1;
        found.headers.push(header);
        rest = &rest[header.size()..];
    }
    next
}

fn read_all(log: &Log) -> Found {
    let mut found = Found::default();
    let mut next = log.start_offset();
    while next < log.end_offset() {
        let read = log.read(next, i64::MAX, 3000, true).unwrap();
        assert!(!read.records.is_empty(), "nothing at {next}");
        next = read_batches(&read.records, &mut found);
    }
    found
}

/// Numbers that look random and are the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// What was written, and by whom.
struct Model {
    dice: Dice,
    written: BTreeMap<i64, Record>,
    sequences: HashMap<i64, i32>,
    now_ms: i64,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed + 1),
            written: BTreeMap::new(),
            sequences: HashMap::new(),
            now_ms: NOW,
        }
    }

    fn append(&mut self, log: &Log) {
        let id = self.dice.below(4) as i64;
        let sequence = self.sequences.entry(id).or_default();
        let codec = CODECS[self.dice.below(5) as usize];
        let mut builder = BatchBuilder::new()
            .producer(id, 0, *sequence)
            .compression(codec);
        let count = 1 + self.dice.below(5) as i32;
        let mut records = Vec::new();
        for _ in 0..count {
            let key = format!("key-{}", self.dice.below(100)).into_bytes();
            let value = (self.dice.below(5) > 0).then(|| vec![b'v'; self.dice.below(60) as usize]);
            let time = self.now_ms - self.dice.below(1000) as i64;
            let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];
            builder.push_with_headers(time, Some(&key), value.as_deref(), &headers);
            records.push((time, key, value));
        }
        *sequence += count;
        let how = Append {
            now_ms: self.now_ms,
            ..CLIENT
        };
        let appended = log.append(&builder.build(), how).unwrap();
        assert!(!appended.duplicate);
        self.written.extend((appended.base_offset..).zip(records));
    }

    /// Compares what is there with what was written.
    fn check(&self, log: &Log) {
        let found = read_all(log);
        let mut latest: HashMap<&[u8], i64> = HashMap::new();
        for (&offset, (_, key, _)) in &self.written {
            latest.insert(key, offset);
        }
        for (offset, record) in &found.records {
            assert_eq!(Some(record), self.written.get(offset), "at {offset}");
        }
        for (key, offset) in latest {
            let (_, _, value) = &self.written[&offset];
            if value.is_some() {
                assert!(found.records.contains_key(&offset), "{offset} is gone");
            } else if !found.records.contains_key(&offset) {
                let rest = found.records.values().any(|(_, other, _)| other == key);
                assert!(!rest, "a tombstone went before what it deletes");
            }
        }
        self.check_times(log, &found);
    }

    /// Look-ups by time answer as a plain search does.
    fn check_times(&self, log: &Log, found: &Found) {
        for back in [0, 500, 999, DAY] {
            let time = self.now_ms - back;
            let expected = found.records.iter().find(|(_, (at, _, _))| *at >= time);
            let got = log.offset_for_timestamp(time, i64::MAX).unwrap();
            assert_eq!(
                got.map(|hit| hit.offset),
                expected.map(|(offset, _)| *offset)
            );
        }
        let newest = found.records.values().map(|(at, _, _)| *at).max();
        let got = log.max_timestamp().unwrap();
        assert_eq!(got.map(|hit| hit.timestamp), newest);
    }
}

/// After a pass: one record per key in what was cleaned.
fn check_clean(log: &Log, below: i64) {
    let found = read_all(log);
    let mut keys: HashMap<&[u8], i64> = HashMap::new();
    for (&offset, (_, key, _)) in found.records.range(..below) {
        let earlier = keys.insert(key, offset);
        assert_eq!(earlier, None, "{} twice", String::from_utf8_lossy(key));
    }
}

/// What the cleaner's checkpoint says of the one partition there is.
fn cleaned_up_to(dir: &Path) -> i64 {
    let path = dir.join("cleaner-offset-checkpoint");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let entry = text.lines().find_map(|line| line.strip_prefix("t 0 "));
    entry.map_or(0, |offset| offset.parse().unwrap())
}

fn reopen(dir: &Path) -> (Logs, Arc<Log>) {
    let (logs, recovery) = Logs::open(options(dir), &config()).unwrap();
    assert_eq!(recovery.truncated_bytes, 0);
    let log = Arc::clone(&recovery.partitions[0].log);
    (logs, log)
}

#[test]
fn the_latest_value_of_each_key_is_there_whatever_happens() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let (mut logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
        let mut log = logs.create("t", 0, [7; 16], config()).unwrap();
        let mut model = Model::new(seed);
        for _ in 0..30 {
            for _ in 0..=model.dice.below(60) {
                model.append(&log);
            }
            match model.dice.below(6) {
                0 => {
                    logs.close().unwrap();
                    (logs, log) = reopen(dir.path());
                }
                // As a crash of the process leaves it.
                1 => {
                    drop(logs);
                    (logs, log) = reopen(dir.path());
                }
                2 => {
                    let end = log.end_offset() - model.dice.below(40) as i64;
                    log.truncate(end.max(log.start_offset())).unwrap();
                    model.written.split_off(&log.end_offset());
                    // Producers would be fenced by what they sent and lost.
                    for producer in log.producers() {
                        let next = producer.last_sequence + 1;
                        model.sequences.insert(producer.producer_id, next);
                    }
                    model
                        .sequences
                        .retain(|id, _| log.producers().iter().any(|p| p.producer_id == *id));
                }
                _ => {}
            }
            log.flush().unwrap();
            model.check(&log);
            // What may still be cut off is not cleaned.
            log.set_cleanable_end(log.end_offset() - 60);
            logs.clean(model.now_ms);
            model.check(&log);
            check_clean(&log, cleaned_up_to(dir.path()));
            model.now_ms += DAY / 4;
        }
        let stats = logs.cleaner_stats();
        assert_eq!(stats.failures, 0);
        assert!(cleaned_up_to(dir.path()) > 300);
        assert_eq!(log.start_offset(), 0);
        logs.close().unwrap();
        let (_logs, log) = reopen(dir.path());
        model.check(&log);
    }
}

#[test]
fn a_reader_sees_rising_offsets_and_no_error_while_segments_are_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    let done = AtomicBool::new(false);
    let mut model = Model::new(99);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !done.load(Ordering::Relaxed) || rounds == 0 {
                        let found = read_all(&log);
                        let rising = found.headers.windows(2);
                        assert!(
                            rising
                                .into_iter()
                                .all(|w| w[0].last_offset() < w[1].base_offset)
                        );
                        rounds += 1;
                    }
                })
            })
            .collect();
        for _ in 0..30 {
            for _ in 0..20 {
                model.append(&log);
            }
            log.flush().unwrap();
            logs.clean(model.now_ms);
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    assert!(logs.cleaner_stats().records_removed > 0);
    model.check(&log);
}

const INTERNAL: Append = Append {
    origin: Origin::Internal,
    ..CLIENT
};
const HEADERS: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];

fn keyed(time: i64, key: &[u8], value: Option<&[u8]>) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push_with_headers(time, Some(key), value, &HEADERS);
    builder.build()
}

fn put(log: &Log, time: i64, key: &str, value: Option<&str>) -> i64 {
    let batch = keyed(time, key.as_bytes(), value.map(str::as_bytes));
    let how = Append {
        now_ms: time,
        ..CLIENT
    };
    log.append(&batch, how).unwrap().base_offset
}

/// Fills segments, so that what came before is sealed and flushed.
fn seal(log: &Log, time: i64) {
    let count = log.segment_count();
    while log.segment_count() < count + 2 {
        put(log, time, "filler", Some(&"x".repeat(500)));
    }
    log.flush().unwrap();
}

fn keys(log: &Log) -> Vec<String> {
    let found = read_all(log);
    let keys = found.records.values().map(|(_, key, _)| key);
    let mut keys: Vec<_> = keys
        .map(|k| String::from_utf8_lossy(k).into_owned())
        .collect();
    keys.dedup();
    keys
}

#[test]
fn tombstones_go_after_their_time_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    put(&log, NOW, "a", Some("1"));
    put(&log, NOW, "a", None);
    seal(&log, NOW);
    logs.clean(NOW);
    assert_eq!(keys(&log), ["a", "filler"]);
    assert_eq!(read_all(&log).records[&1].2, None);
    seal(&log, NOW + DAY - 1);
    logs.clean(NOW + DAY - 1);
    assert_eq!(keys(&log), ["a", "filler"]);
    seal(&log, NOW + DAY);
    logs.clean(NOW + DAY);
    assert_eq!(keys(&log), ["filler"]);
    // Who asks for an offset that is gone gets what comes next.
    let read = log.read(0, i64::MAX, 1, true).unwrap();
    assert!(verify(&read.records).unwrap().base_offset > 1);
}

#[test]
fn nothing_past_the_cleanable_end_nor_too_young_is_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let lag = LogConfig {
        min_compaction_lag_ms: 1000,
        ..config()
    };
    let (logs, _) = Logs::open(options(dir.path()), &lag).unwrap();
    let log = logs.create("t", 0, [7; 16], lag.clone()).unwrap();
    put(&log, NOW, "a", Some("1"));
    put(&log, NOW, "a", Some("2"));
    seal(&log, NOW);
    let before = read_all(&log).headers;
    logs.clean(NOW + 500);
    assert_eq!(read_all(&log).headers, before, "too young");
    log.set_cleanable_end(1);
    logs.clean(NOW + 5000);
    assert_eq!(read_all(&log).headers, before, "past the cleanable end");
    log.set_cleanable_end(i64::MAX);
    logs.clean(NOW + 5000);
    assert!(!read_all(&log).records.contains_key(&0));
}

#[test]
fn a_log_waits_for_its_share_of_dirt_unless_it_is_overdue() {
    let dir = tempfile::tempdir().unwrap();
    let half = LogConfig {
        min_cleanable_dirty_ratio: 0.5,
        max_compaction_lag_ms: DAY,
        ..config()
    };
    let (logs, _) = Logs::open(options(dir.path()), &half).unwrap();
    let log = logs.create("t", 0, [7; 16], half.clone()).unwrap();
    for i in 0..100 {
        put(&log, NOW, &format!("key-{i}"), Some(&"x".repeat(100)));
    }
    seal(&log, NOW);
    logs.clean(NOW);
    let passes = logs.cleaner_stats().passes;
    assert!(passes > 0);
    seal(&log, NOW);
    logs.clean(NOW);
    assert_eq!(logs.cleaner_stats().passes, passes);
    let ratio = logs.cleaner_stats().max_dirty_ratio;
    assert!(ratio > 0.0 && ratio < 0.5, "{ratio}");
    logs.clean(NOW + DAY + 1);
    assert!(logs.cleaner_stats().passes > passes);
}

#[test]
fn the_last_batches_of_a_producer_outlive_their_records() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    let batch = |sequence| {
        let mut builder = BatchBuilder::new().producer(5, 0, sequence);
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];
        builder.push_with_headers(NOW, Some(b"a"), Some(b"1"), &headers);
        builder.build()
    };
    for sequence in 0..6 {
        fixture::append(&log, &batch(sequence));
    }
    put(&log, NOW, "a", Some("2"));
    seal(&log, NOW);
    logs.clean(NOW);
    let found = read_all(&log);
    let of_producer: Vec<_> = found
        .headers
        .iter()
        .filter(|h| h.producer_id == 5)
        .collect();
    let told = of_producer
        .iter()
        .map(|h| (h.base_sequence, h.records_count));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    );
    drop(log);
    logs.close().unwrap();
    // Without a snapshot the log alone has to tell.
    for entry in std::fs::read_dir(fixture::partition_dir(dir.path())).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snapshot") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (_logs, log) = reopen(dir.path());
    assert!(fixture::append(&log, &batch(1)).duplicate);
    assert!(!fixture::append(&log, &batch(6)).duplicate);
}

#[test]
fn records_can_be_deleted_and_retained_in_a_compacted_log() {
    let dir = tempfile::tempdir().unwrap();
    let both = LogConfig {
        cleanup: Cleanup {
            delete: true,
            compact: true,
        },
        timestamp_type: TimestampType::CreateTime,
        ..config()
    };
    let (logs, _) = Logs::open(options(dir.path()), &both).unwrap();
    let log = logs.create("t", 0, [7; 16], both.clone()).unwrap();
    for i in 0..100 {
        put(
            &log,
            NOW,
            &format!("key-{}", i % 10),
            Some(&"x".repeat(100)),
        );
    }
    seal(&log, NOW);
    logs.clean(NOW);
    let found = read_all(&log);
    let first = *found.records.keys().next().unwrap();
    assert!(first > 50);
    // In the gap before the first record.
    assert_eq!(log.delete_records(first - 10).unwrap(), first - 10);
    assert_eq!(read_all(&log).records, found.records);
    seal(&log, NOW);
    logs.clean(NOW);
    assert_eq!(log.start_offset(), first - 10);
    logs.close().unwrap();
    let (_logs, log) = reopen(dir.path());
    assert_eq!(log.start_offset(), first - 10);
    assert_eq!(*read_all(&log).records.keys().next().unwrap(), first);
}

#[test]
fn the_cleaner_goes_on_where_it_was_and_starts_anew_without_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let half = LogConfig {
        min_cleanable_dirty_ratio: 0.5,
        ..config()
    };
    let (logs, _) = Logs::open(options(dir.path()), &half).unwrap();
    let log = logs.create("t", 0, [7; 16], half.clone()).unwrap();
    for i in 0..100 {
        put(&log, NOW, &format!("key-{i}"), Some(&"x".repeat(100)));
    }
    seal(&log, NOW);
    logs.clean(NOW);
    logs.close().unwrap();
    let path = dir.path().join("cleaner-offset-checkpoint");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("0\n1\nt 0 1"), "{text}");
    for (content, passes) in [
        (Some(text.as_str()), false),
        (Some("0\n1\nt 0 99999\n"), true),
        (Some("rubbish"), true),
        (None, true),
    ] {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let (logs, _) = Logs::open(options(dir.path()), &half).unwrap();
        logs.clean(NOW);
        assert_eq!(logs.cleaner_stats().passes > 0, passes, "{content:?}");
        logs.close().unwrap();
    }
}

#[test]
fn internal_appends_may_lack_keys_and_clients_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    let batch = fixture::batch(&[b"value"]);
    assert!(fixture::try_append(&log, &batch).is_err());
    let how = Append {
        origin: Origin::Internal,
        ..CLIENT
    };
    log.append(&batch, how).unwrap();
}

/// Appends a value of key `a` in a transaction of producer 9.
fn put_in_transaction(log: &Log, sequence: i32, value: &[u8]) {
    let mut data = BatchBuilder::new().producer(9, 0, sequence).transactional();
    data.push_with_headers(NOW, Some(b"a"), Some(value), &HEADERS);
    log.append(&data.build(), INTERNAL).unwrap();
}

/// Ends the transaction of producer 9.
fn end_transaction(log: &Log, commits: bool) {
    let mut marker = BatchBuilder::new().producer(9, 0, -1);
    marker = marker.transactional().control();
    let key = [0, 0, 0, u8::from(commits)];
    marker.push_with_headers(NOW, Some(&key), Some(&[0; 6]), &HEADERS);
    log.append(&marker.build(), INTERNAL).unwrap();
}

/// Offsets and values of key `a`.
fn values_of_a(log: &Log) -> Vec<(i64, Option<Vec<u8>>)> {
    let found = read_all(log).records.into_iter();
    let of_a = found.filter(|(_, (_, key, _))| key == b"a");
    of_a.map(|(at, (_, _, value))| (at, value)).collect()
}

#[test]
fn records_of_aborted_transactions_go_and_outdate_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    let transactions: [(&[u8], bool); 3] =
        [(b"old", true), (b"committed", true), (b"aborted", false)];
    for (sequence, (value, commits)) in (0..).zip(transactions) {
        put_in_transaction(&log, sequence, value);
        end_transaction(&log, commits);
    }
    seal(&log, NOW);
    logs.clean(NOW);
    assert_eq!(values_of_a(&log), [(2, Some(b"committed".to_vec()))]);
    let found = read_all(&log);
    let markers = found.headers.iter().filter(|h| h.attributes.is_control());
    assert_eq!(
        markers.map(|h| h.base_offset).collect::<Vec<_>>(),
        [1, 3, 5]
    );
}

#[test]
fn an_aborted_transaction_outdates_nothing_although_its_marker_is_not_cleaned_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, _) = Logs::open(options(dir.path()), &config()).unwrap();
    let log = logs.create("t", 0, [7; 16], config()).unwrap();
    put_in_transaction(&log, 0, b"committed");
    end_transaction(&log, true);
    put_in_transaction(&log, 1, b"aborted");
    seal(&log, NOW);
    end_transaction(&log, false);
    log.flush().unwrap();
    logs.clean(NOW);
    assert_eq!(values_of_a(&log), [(0, Some(b"committed".to_vec()))]);
    assert!(logs.cleaner_stats().records_removed > 0);
    // Now the marker is in the dirty part, and what it is about is not.
    seal(&log, NOW);
    logs.clean(NOW);
    assert_eq!(values_of_a(&log), [(0, Some(b"committed".to_vec()))]);
}
