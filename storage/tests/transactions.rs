//! The last stable offset and the aborted transactions of a log, against a model that looks at all
//! batches, over restarts, rolled segments, truncation and deletion.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fixture::*;
use protocol::record::BatchBuilder;
use storage::{Aborted, Append, AppendError, Appended, Log, LogConfig, Logs, Marker, Origin};

fn in_transaction(id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .producer(id, epoch, sequence)
        .transactional();
    builder.push(NOW, None, Some(b"value"));
    builder.build()
}

fn end(log: &Log, id: i64, epoch: i16, commits: bool) -> Result<Appended, AppendError> {
    end_by(log, id, epoch, commits, 0)
}

fn end_by(
    log: &Log,
    id: i64,
    epoch: i16,
    commits: bool,
    coordinator_epoch: i32,
) -> Result<Appended, AppendError> {
    let marker = Marker {
        commits,
        coordinator_epoch,
    };
    let how = Append {
        origin: Origin::Internal,
        ..CLIENT
    };
    log.append(&marker.batch(id, epoch, NOW), how)
}

fn small() -> LogConfig {
    let mut config = config();
    config.segment_bytes = 7 * in_transaction(0, 0, 0).len() as u32;
    config
}

fn spans(aborted: &[Aborted]) -> Vec<(i64, i64, i64)> {
    let span = |a: &Aborted| (a.producer_id, a.first_offset, a.last_offset);
    aborted.iter().map(span).collect()
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_transaction() {
    let (_dir, _logs, log) = create(&config());
    append(&log, &batch(&[b"plain"]));
    assert_eq!(log.last_stable_offset(), 1);
    append(&log, &in_transaction(1, 0, 0)); // 1
    append(&log, &in_transaction(2, 0, 0)); // 2
    append(&log, &batch(&[b"plain"])); // 3
    assert_eq!(log.last_stable_offset(), 1);
    end(&log, 2, 0, true).unwrap(); // 4
    assert_eq!(log.last_stable_offset(), 1);
    end(&log, 1, 0, false).unwrap(); // 5
    assert_eq!(log.last_stable_offset(), 6);
    assert_eq!(spans(&log.aborted(0, 6)), [(1, 1, 5)]);
    assert_eq!(spans(&log.aborted(0, 1)), []);
    assert_eq!(spans(&log.aborted(6, 7)), []);
    // A second marker ends nothing.
    end(&log, 1, 0, false).unwrap();
    assert_eq!(log.aborted(0, 7).len(), 1);
}

#[test]
fn markers_of_the_past_are_refused() {
    let (_dir, _logs, log) = create(&config());
    append(&log, &in_transaction(1, 3, 0));
    let old = end(&log, 1, 2, false);
    assert!(matches!(old, Err(AppendError::FencedProducer { .. })));
    assert_eq!(log.last_stable_offset(), 0);
    end_by(&log, 1, 4, false, 9).unwrap();
    let old = end_by(&log, 1, 4, false, 8);
    assert!(matches!(old, Err(AppendError::FencedCoordinator { .. })));
    // The marker fences the producer whose transaction it ended.
    let late = try_append(&log, &in_transaction(1, 3, 1));
    assert!(matches!(late, Err(AppendError::FencedProducer { .. })));
    assert_eq!(log.last_stable_offset(), 2);
}

#[test]
fn a_producer_writes_nothing_beside_its_transaction() {
    let (_dir, _logs, log) = create(&config());
    append(&log, &in_transaction(1, 0, 0));
    let beside = try_append(&log, &produced(1, 0, 1, 1));
    assert!(matches!(beside, Err(AppendError::OpenTransaction { .. })));
    end(&log, 1, 0, true).unwrap();
    append(&log, &produced(1, 0, 1, 1));
}

#[test]
fn deleting_records_of_an_open_transaction_moves_the_last_stable_offset() {
    let (_dir, _logs, log) = create(&config());
    append(&log, &in_transaction(1, 0, 0));
    append(&log, &in_transaction(1, 0, 1));
    append(&log, &batch(&[b"plain"]));
    log.delete_records(1).unwrap();
    assert_eq!(log.last_stable_offset(), 1);
    end(&log, 1, 0, false).unwrap();
    assert_eq!(spans(&log.aborted(1, 4)), [(1, 0, 3)]);
}

/// What one batch was.
#[derive(Debug, Clone, Copy)]
enum Event {
    Plain,
    Data(i64),
    End(i64, bool),
}

/// Last stable offset and aborted transactions, reckoned from all events.
fn reckon(events: &[Event]) -> (i64, Vec<(i64, i64, i64)>) {
    let mut open = BTreeMap::new();
    let mut aborted = Vec::new();
    for (offset, event) in (0i64..).zip(events) {
        match event {
            Event::Plain => {}
            Event::Data(id) => {
                open.entry(*id).or_insert(offset);
            }
            Event::End(id, commits) => {
                if let Some(first) = open.remove(id)
                    && !commits
                {
                    aborted.push((*id, first, offset));
                }
            }
        }
    }
    let end = events.len() as i64;
    (open.values().min().copied().unwrap_or(end), aborted)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A log and everything that was ever appended to it.
struct Stage {
    logs: Option<Logs>,
    log: Arc<Log>,
    events: Vec<Event>,
    sequences: BTreeMap<i64, i32>,
}

impl Stage {
    fn step(&mut self, random: &mut Random) {
        let id = random.below(3) as i64;
        let event = match random.below(6) {
            0 => Event::Plain,
            1..=3 => Event::Data(id),
            _ => Event::End(id, random.below(2) == 0),
        };
        match event {
            Event::Plain => drop(append(&self.log, &batch(&[b"plain"]))),
            Event::Data(id) => {
                let sequence = self.sequences.entry(id).or_default();
                append(&self.log, &in_transaction(id, 0, *sequence));
                *sequence += 1;
            }
            Event::End(id, commits) => drop(end(&self.log, id, 0, commits).unwrap()),
        }
        self.events.push(event);
    }

    fn truncate(&mut self, offset: i64) {
        self.log.truncate(offset).unwrap();
        for event in self.events.drain(offset as usize..) {
            if let Event::Data(id) = event {
                *self.sequences.get_mut(&id).unwrap() -= 1;
            }
        }
    }

    fn restart(&mut self, dir: &Path, clean: bool) {
        let logs = self.logs.take().unwrap();
        if clean {
            logs.close().unwrap();
        }
        drop(logs);
        let (logs, log, recovery) = reopen(dir, &small());
        assert_eq!(recovery.clean, clean);
        (self.logs, self.log) = (Some(logs), log);
    }

    fn check(&self, random: &mut Random) {
        let (last_stable, aborted) = reckon(&self.events);
        assert_eq!(self.log.last_stable_offset(), last_stable);
        let end = self.log.end_offset();
        assert_eq!(end, self.events.len() as i64);
        assert_eq!(spans(&self.log.aborted(0, end)), aborted);
        let from = random.below(end as u64 + 1) as i64;
        let upper = from + random.below((end - from) as u64 + 1) as i64;
        let found = spans(&self.log.aborted(from, upper));
        let needed = |(_, first, last): &&(i64, i64, i64)| *last >= from && *first < upper;
        let needed: Vec<_> = aborted.iter().filter(needed).copied().collect();
        assert_eq!(found, needed, "{from}..{upper}");
    }
}

#[test]
fn all_is_as_reckoned_whatever_happens() {
    for seed in 1..12 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let (dir, logs, log) = create(&small());
        let mut stage = Stage {
            logs: Some(logs),
            log,
            events: Vec::new(),
            sequences: BTreeMap::new(),
        };
        for _ in 0..12 {
            for _ in 0..random.below(20) {
                stage.step(&mut random);
            }
            stage.check(&mut random);
            match random.below(5) {
                0 => stage.restart(dir.path(), true),
                1 => stage.restart(dir.path(), false),
                2 => {
                    let end = stage.log.end_offset() as u64;
                    stage.truncate(random.below(end + 1) as i64);
                }
                3 => {
                    stage.log.flush().unwrap();
                    stage.logs.as_ref().unwrap().keep_house(NOW);
                }
                _ => {}
            }
            stage.check(&mut random);
        }
    }
}

#[test]
fn a_damaged_index_is_built_again() {
    let (dir, logs, log) = create(&small());
    for round in 0..6 {
        append(&log, &in_transaction(1, 0, 3 * round));
        append(&log, &in_transaction(1, 0, 3 * round + 1));
        append(&log, &in_transaction(1, 0, 3 * round + 2));
        end(&log, 1, 0, round % 2 == 0).unwrap();
    }
    let aborted = log.aborted(0, 24);
    assert_eq!(aborted.len(), 3);
    logs.close().unwrap();
    drop(logs);
    let names = fs::read_dir(partition_dir(dir.path())).unwrap();
    let paths = names.map(|name| name.unwrap().path());
    let indexes: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "txnindex"))
        .collect();
    assert_eq!(indexes.len(), 3);
    for path in &indexes {
        let good = fs::read(path).unwrap();
        assert_eq!(good.len(), 34);
        for bad in [&good[..33], &[0; 34], &[&good[..], &good[..]].concat()] {
            fs::write(path, bad).unwrap();
            let (logs, log, _) = reopen(dir.path(), &small());
            assert_eq!(log.aborted(0, 24), aborted);
            assert_eq!(fs::read(path).unwrap(), good);
            logs.close().unwrap();
        }
    }
}

#[test]
fn an_index_goes_with_its_segment() {
    let (dir, _logs, log) = create(&small());
    for sequence in 0..8 {
        append(&log, &in_transaction(1, 0, sequence));
        end(&log, 1, 0, false).unwrap();
    }
    let first = segment_file(dir.path(), 0, "txnindex");
    assert!(first.exists());
    assert_eq!(log.aborted(0, 16).len(), 8);
    log.delete_records(8).unwrap();
    let left = log.aborted(0, 16).len();
    assert!((4..8).contains(&left), "{left}");
    while first.exists() {
        std::thread::yield_now();
    }
}
