//! Runs an engine over logs as a broker would: commits, takes steps back, stops and starts again.
use std::collections::BTreeMap;

use projection::{Counts, Engine, Input, Options, Outcome, Progress, Row, find};

use crate::logs::Logs;

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    /// The next record of this partition, counted around.
    Step(usize),
    /// A commit.
    Commit,
    /// Everything since the last commit is taken back.
    Rollback,
    /// The engine is gone; another one starts from what was committed.
    Crash,
}

/// An engine, and what it committed.
pub struct Driver<'a> {
    pub engine: Box<dyn Engine>,
    view: &'static str,
    options: Options,
    logs: &'a Logs,
    /// The view's topic: later records replace earlier ones.
    topic: Vec<Row>,
    progress: BTreeMap<i32, Progress>,
    counts: Counts,
}

/// The options that the naive views have.
pub fn options(dedup_window_ms: Option<i64>) -> Options {
    Options {
        source: "events".to_owned(),
        aliases: Vec::new(),
        dedup_window_ms,
        max_future_skew_ms: 3_600_000,
    }
}

/// What became of a record, in the words of the naive views.
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "APPLIED",
        Outcome::Duplicate => "DUPLICATE",
        Outcome::Rejected(rejection) => rejection.reason.as_str(),
    }
}

impl<'a> Driver<'a> {
    pub fn new(view: &'static str, dedup_window_ms: Option<i64>, logs: &'a Logs) -> Self {
        let options = options(dedup_window_ms);
        Self {
            engine: (find(view).expect("a view").engine)(options.clone()),
            view,
            options,
            logs,
            topic: Vec::new(),
            progress: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// The record at an offset.
    pub fn input(&self, partition: usize, offset: i64) -> Option<Input<'a>> {
        let record = self.logs[partition].get(offset as usize)?;
        Some(Input {
            partition: partition as i32,
            offset,
            timestamp: record.timestamp,
            value: record.value.as_deref().map(str::as_bytes),
        })
    }

    /// Where the next step of a partition is.
    pub fn next(&self, partition: usize) -> i64 {
        let progress = self.engine.progress();
        progress
            .get(&(partition as i32))
            .map_or(0, |progress| progress.next)
    }

    /// The next record of a partition: where it is, and what becomes of it. `None` at its end.
    pub fn step(&mut self, partition: usize) -> Option<(usize, i64, &'static str)> {
        let partition = partition % self.logs.len();
        let input = self.input(partition, self.next(partition))?;
        Some((partition, input.offset, word(&self.engine.step(&input))))
    }

    /// Appends the changes to the topic and commits.
    pub fn commit(&mut self) {
        let first = self.topic.len() as i64;
        let topic = &mut self.topic;
        self.engine.changes(&mut |key, value, timestamp| {
            let value = value.expect("no row of these views ever goes").to_vec();
            let offset = topic.len() as i64;
            topic.push(Row {
                key: key.into(),
                value,
                timestamp,
                offset,
            });
        });
        self.engine.commit(first);
        self.progress = self.engine.progress();
        self.counts = self.engine.counts();
    }

    /// Another engine, from what was committed.
    pub fn crash(&mut self) {
        self.engine = (find(self.view).expect("a view").engine)(self.options.clone());
        for row in &self.topic {
            self.engine
                .restore_row(row, false)
                .expect("a row of this view");
        }
        self.engine.restore(&self.progress, self.counts);
        for (partition, progress) in &self.progress {
            for offset in progress.dedup_from..progress.next {
                let input = self.input(*partition as usize, offset);
                self.engine
                    .restore_sighting(&input.expect("it was read before"));
            }
        }
    }

    /// Everything that is left, partition by partition, and a commit.
    pub fn finish(&mut self) {
        for partition in 0..self.logs.len() {
            while self.step(partition).is_some() {}
        }
        self.commit();
    }

    /// The rows that readers see.
    pub fn rows(&self) -> Vec<Row> {
        use std::ops::Bound::Unbounded;
        self.engine.table().scan(Unbounded, Unbounded, usize::MAX)
    }
}
