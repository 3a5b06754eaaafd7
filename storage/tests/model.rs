//! Any sequence of operations on a log does what it would do to a list of batches.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::sync::Arc;

use fixture::*;
use proptest::prelude::*;
use protocol::record::BatchBuilder;
use storage::{Append, Log, LogConfig, Logs, Origin};

#[derive(Debug, Clone)]
enum Step {
    Append {
        records: usize,
        size: usize,
    },
    AppendMany {
        batches: usize,
    },
    Produce {
        producer: i64,
        again: usize,
    },
    Read {
        from: f64,
        up_to: f64,
        max_bytes: usize,
        min_one: bool,
    },
    Flush,
    DeleteRecords {
        at: f64,
    },
    Truncate {
        at: f64,
    },
    Configure {
        segment_bytes: u32,
    },
    Time {
        at: f64,
    },
    Restart {
        clean: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6_usize, 0..300_usize).prop_map(|(records, size)| Step::Append { records, size }),
        1 => (1..4_usize).prop_map(|batches| Step::AppendMany { batches }),
        4 => (0..3_i64, 0..7_usize).prop_map(|(producer, again)| Step::Produce { producer, again }),
        6 => (0.0..1.1, 0.0..1.1, 0..3000_usize, any::<bool>())
            .prop_map(|(from, up_to, max_bytes, min_one)| Step::Read { from, up_to, max_bytes, min_one }),
        1 => Just(Step::Flush),
        1 => (0.0..1.05).prop_map(|at| Step::DeleteRecords { at }),
        1 => (0.5..1.05).prop_map(|at| Step::Truncate { at }),
        1 => (1700..5000_u32).prop_map(|segment_bytes| Step::Configure { segment_bytes }),
        2 => (0.0..1.1).prop_map(|at| Step::Time { at }),
        2 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ]
}

/// A batch in the model.
#[derive(Debug, Clone)]
struct Stored {
    base_offset: i64,
    values: Vec<Vec<u8>>,
    size: usize,
    /// Producer and base sequence.
    produced: Option<(i64, i32)>,
}

impl Stored {
    fn end(&self) -> i64 {
        self.base_offset + self.values.len() as i64
    }
}

struct Model {
    batches: Vec<Stored>,
    start: i64,
    end: i64,
}

impl Model {
    /// An offset by its place between 0 and a little past the end.
    fn offset(&self, at: f64) -> i64 {
        (at * self.end as f64) as i64
    }

    fn last_of(&self, producer: i64) -> Vec<&Stored> {
        let is = |batch: &&Stored| batch.produced.is_some_and(|(id, _)| id == producer);
        self.batches.iter().filter(is).collect()
    }

    fn read(&self, from: i64, up_to: i64, max_bytes: usize, min_one: bool) -> Vec<(i64, Vec<u8>)> {
        let mut out = Vec::new();
        let mut bytes = 0;
        for batch in self.batches.iter().filter(|batch| batch.end() > from) {
            bytes += batch.size;
            let first = out.is_empty();
            if batch.end() > up_to || (bytes > max_bytes && !(first && min_one)) {
                break;
            }
            for (i, value) in batch.values.iter().enumerate() {
                out.push((batch.base_offset + i as i64, value.clone()));
            }
        }
        out
    }
}

struct Pair {
    dir: tempfile::TempDir,
    config: LogConfig,
    logs: Option<Logs>,
    log: Arc<Log>,
    model: Model,
    counter: i64,
}

impl Pair {
    fn new() -> Self {
        let mut config = config();
        config.segment_bytes = 2000;
        config.index_interval_bytes = 200;
        let (dir, logs, log) = create(&config);
        let model = Model {
            batches: Vec::new(),
            start: 0,
            end: 0,
        };
        Self {
            dir,
            config,
            logs: Some(logs),
            log,
            model,
            counter: 0,
        }
    }

    /// A batch whose timestamps rise by one per record, ever.
    fn build(
        &mut self,
        records: usize,
        size: usize,
        produced: Option<(i64, i32)>,
    ) -> (Stored, Vec<u8>) {
        let mut builder = BatchBuilder::new();
        if let Some((id, sequence)) = produced {
            builder = builder.producer(id, 0, sequence);
        }
        let values: Vec<Vec<u8>> = (0..records)
            .map(|_| {
                self.counter += 1;
                let mut value = self.counter.to_be_bytes().to_vec();
                value.resize(8 + size, b'.');
                builder.push(self.counter, None, Some(&value));
                value
            })
            .collect();
        let bytes = builder.build().to_vec();
        let stored = Stored {
            base_offset: self.model.end,
            values,
            size: bytes.len(),
            produced,
        };
        (stored, bytes)
    }

    fn store(&mut self, stored: Stored) {
        self.model.end = stored.end();
        self.model.batches.push(stored);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append { records, size } => {
                let (stored, bytes) = self.build(records, size, None);
                let appended = append(&self.log, &bytes);
                assert_eq!(appended.base_offset, stored.base_offset);
                assert_eq!(appended.last_offset, stored.end() - 1);
                self.store(stored);
            }
            Step::AppendMany { batches } => self.append_many(batches),
            Step::Produce { producer, again } => self.produce(producer, again),
            Step::Read {
                from,
                up_to,
                max_bytes,
                min_one,
            } => self.read(from, up_to, max_bytes, min_one),
            Step::Flush => {
                self.log.flush().unwrap();
                assert_eq!(self.log.flushed_offset(), self.model.end);
            }
            Step::DeleteRecords { at } => {
                let offset = self.model.offset(at);
                match self.log.delete_records(offset) {
                    Ok(start) => assert_eq!(start, offset.max(self.model.start)),
                    Err(_) => assert!(offset > self.model.end),
                }
                if offset <= self.model.end {
                    self.model.start = self.model.start.max(offset);
                }
            }
            Step::Truncate { at } => self.truncate(at),
            Step::Configure { segment_bytes } => {
                self.config.segment_bytes = segment_bytes;
                self.log.set_config(self.config.clone());
            }
            Step::Time { at } => self.time(at),
            Step::Restart { clean } => self.restart(clean),
        }
        assert_eq!(self.log.start_offset(), self.model.start);
        assert_eq!(self.log.end_offset(), self.model.end);
    }

    fn append_many(&mut self, batches: usize) {
        let base_offset = self.model.end;
        let mut all = Vec::new();
        for _ in 0..batches {
            let (stored, bytes) = self.build(2, 10, None);
            all.extend_from_slice(&bytes);
            self.store(stored);
        }
        let how = Append {
            origin: Origin::Internal,
            ..CLIENT
        };
        let appended = self.log.append(&all, how).unwrap();
        assert_eq!(appended.base_offset, base_offset);
        assert_eq!(appended.last_offset, self.model.end - 1);
    }

    /// The next batch of a producer; or, as often as `again` says, an earlier one.
    fn produce(&mut self, producer: i64, again: usize) {
        let earlier: Vec<Stored> = self.model.last_of(producer).into_iter().cloned().collect();
        if again > 0 && again <= earlier.len().min(5) {
            let batch = &earlier[earlier.len() - again];
            let (_, sequence) = batch.produced.unwrap();
            let bytes = produced(producer, 0, sequence, batch.values.len());
            match try_append(&self.log, &bytes) {
                Ok(appended) => {
                    assert!(appended.duplicate);
                    assert_eq!(appended.base_offset, batch.base_offset);
                }
                // All but a producer's last batch are forgotten with their records.
                Err(error) => assert!(
                    again > 1 && batch.base_offset < self.model.start,
                    "{error} {batch:?} {:?}",
                    self.log.producers()
                ),
            }
            return;
        }
        let next = earlier.last().map_or(0, |batch| {
            batch.produced.unwrap().1 + batch.values.len() as i32
        });
        let (wrong, bytes) = self.build(1, 5, Some((producer, next + 7)));
        if !earlier.is_empty() {
            assert!(try_append(&self.log, &bytes).is_err(), "{wrong:?}");
        }
        let (stored, bytes) = self.build(2, 5, Some((producer, next)));
        assert_eq!(append(&self.log, &bytes).base_offset, stored.base_offset);
        self.store(stored);
    }

    fn read(&self, from: f64, up_to: f64, max_bytes: usize, min_one: bool) {
        let (from, up_to) = (self.model.offset(from), self.model.offset(up_to));
        self.log.would_block(from, max_bytes);
        let read = self.log.read(from, up_to, max_bytes, min_one);
        if from < self.model.start || from > self.model.end {
            assert!(read.is_err());
            return;
        }
        let mut found = Vec::new();
        for_each_record(&read.unwrap().records, |offset, value| {
            found.push((offset, value));
        });
        let expected = if from < up_to {
            self.model.read(from, up_to, max_bytes, min_one)
        } else {
            Vec::new()
        };
        // A read ends with its segment: it may be shorter, but not empty.
        assert_eq!(found, expected[..found.len()]);
        assert_eq!(found.is_empty(), expected.is_empty());
    }

    fn truncate(&mut self, at: f64) {
        let offset = self.model.offset(at).max(self.model.start);
        self.log.truncate(offset).unwrap();
        if offset >= self.model.end {
            return;
        }
        let kept = self.model.batches.iter().take_while(|b| b.end() <= offset);
        let count = kept.count();
        self.model.batches.truncate(count);
        let end = self.log.end_offset();
        let last_end = self.model.batches.last().map_or(0, Stored::end);
        assert!(
            (last_end..=offset).contains(&end),
            "{last_end} <= {end} <= {offset}"
        );
        self.model.end = end;
        self.model.start = self.model.start.min(end);
    }

    fn time(&self, at: f64) {
        let timestamp = (at * self.counter as f64) as i64;
        let found = self.log.offset_for_timestamp(timestamp, i64::MAX).unwrap();
        let expected = self.model.batches.iter().flat_map(|batch| {
            (batch.base_offset..)
                .zip(&batch.values)
                .map(|(offset, value)| {
                    let time = value.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
                    (offset, time.unwrap())
                })
        });
        let mut expected = expected.filter(|(offset, _)| *offset >= self.model.start);
        let first = expected.find(|(_, time)| *time >= timestamp);
        assert_eq!(found.map(|found| (found.offset, found.timestamp)), first);
        let newest = self.log.max_timestamp().unwrap();
        let last = expected.last().or(first);
        if let Some(last) = last {
            assert_eq!(
                newest.map(|found| (found.offset, found.timestamp)),
                Some(last)
            );
        }
    }

    fn restart(&mut self, clean: bool) {
        let logs = self.logs.take().unwrap();
        let producers = self.log.producers();
        if clean {
            logs.close().unwrap();
        }
        drop(logs);
        let (logs, log, recovery) = reopen(self.dir.path(), &self.config);
        assert_eq!(recovery.clean, clean);
        assert_eq!(recovery.truncated_bytes, 0);
        assert_eq!(log.producers(), producers);
        self.logs = Some(logs);
        self.log = log;
    }

    fn check_all(&self) {
        let expected: Vec<(i64, Vec<u8>)> =
            self.model
                .read(self.model.start, i64::MAX, usize::MAX, true);
        assert_eq!(read_values(&self.log, self.model.start), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn a_log_is_a_list_of_batches(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.apply(&step);
        }
        pair.check_all();
        for clean in [false, true] {
            pair.restart(clean);
            pair.check_all();
        }
    }
}
