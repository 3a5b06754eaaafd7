//! One commit of a view, in numbered steps.
//!
//! 1. rows, 2. dead letters, 3. settled letters are appended above the high watermark: nobody sees
//!    them;
//! 4. with `flush = "commit"`: wait until all of these are on disk;
//! 5. one commit record, durable likewise: the only point at which the commit is made;
//! 6. reveal the outputs.
//!
//! A crash before step 5 leaves what recovery cuts off, one after it what recovery reveals. The
//! order of the flushes keeps that true when power is lost: no commit record on disk names outputs
//! that are not.
use bytes::Bytes;
use projection::{Commit, OutputPosition};
use tokio::sync::watch;

use super::commits::{CommitError, Commits};
use super::crash;
use super::output::{Kind, Output, OutputError};
use crate::metadata::Topics;
use storage::AppendError;

/// What the commits of one view go through.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Where topics are made.
    pub topics: &'a Topics,
    /// The log of commits.
    pub commits: &'a Commits,
    /// Whether to wait for the disk.
    pub durable: bool,
    /// Ends every wait.
    pub stopping: &'a watch::Receiver<bool>,
}

/// The outputs of a view.
#[derive(Debug)]
pub struct Outputs {
    /// The view's topic.
    pub rows: Output,
    /// Its dead letters.
    pub letters: Output,
    /// Those of them that are settled.
    pub settled: Output,
}

/// What one commit writes.
#[derive(Debug, Default)]
pub struct Written {
    /// Rows.
    pub rows: Vec<Bytes>,
    /// Dead letters.
    pub letters: Vec<Bytes>,
    /// Settled letters.
    pub settled: Vec<Bytes>,
}

/// Why there was no commit.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Nothing is committed; what was appended has to be cut. Another attempt may succeed.
    #[error("{0}")]
    Again(String),
    /// The commit record was appended and may or may not last: only a restart can tell.
    #[error("{0}; a restart settles what became of the last commit")]
    Unknown(String),
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}

impl Outputs {
    /// The outputs of a view as a commit has them, or without one, from nothing.
    pub fn new(topics: &Topics, view: &'static str, commit: Option<&Commit>) -> Self {
        let output = |kind: Kind| {
            let name = kind.topic(view);
            let positions = commit.map_or(&[][..], |commit| &commit.outputs);
            let position = positions.iter().find(|position| position.topic == name);
            Output::new(topics, view, kind, position)
        };
        Self {
            rows: output(Kind::Rows),
            letters: output(Kind::Letters),
            settled: output(Kind::Settled),
        }
    }

    /// Takes back what was appended and not committed.
    pub fn cut(&mut self) -> Result<(), storage::StorageError> {
        self.rows.cut()?;
        self.letters.cut()?;
        self.settled.cut()
    }

    fn all(&self) -> [&Output; 3] {
        [&self.rows, &self.letters, &self.settled]
    }

    fn positions(&self) -> Vec<OutputPosition> {
        let all = self.all();
        all.iter().filter_map(|output| output.position()).collect()
    }
}

impl Sink<'_> {
    /// Commits; returns the offset of the first row. After an error nothing is revealed.
    pub fn commit(
        &self,
        outputs: &mut Outputs,
        written: &Written,
        record: impl FnOnce(Vec<OutputPosition>) -> Commit,
    ) -> Result<i64, SinkError> {
        crash::passage(1);
        outputs.rows.make(self.topics).map_err(again)?;
        let append = |output: &mut Output, batches| output.append(self.topics, batches);
        let first = append(&mut outputs.rows, &written.rows).map_err(again)?;
        crash::passage(2);
        append(&mut outputs.letters, &written.letters).map_err(again)?;
        crash::passage(3);
        append(&mut outputs.settled, &written.settled).map_err(again)?;
        crash::passage(4);
        if self.durable {
            self.flush(outputs).map_err(again)?;
        }
        if *self.stopping.borrow() {
            return Err(SinkError::Stopping);
        }
        crash::passage(5);
        let committed = self
            .commits
            .append(&record(outputs.positions()), self.stopping);
        committed.map_err(|error| match error {
            CommitError::Durable(AppendError::Closed) => SinkError::Stopping,
            CommitError::Durable(_) => SinkError::Unknown(error.to_string()),
            CommitError::Topic(_) | CommitError::Append(_) => SinkError::Again(error.to_string()),
        })?;
        crash::passage(6);
        outputs.rows.reveal();
        outputs.letters.reveal();
        outputs.settled.reveal();
        Ok(first)
    }

    fn flush(&self, outputs: &Outputs) -> Result<(), OutputError> {
        for output in outputs.all() {
            output.request_flush();
        }
        for output in outputs.all() {
            output.wait_durable(self.stopping)?;
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn again(error: OutputError) -> SinkError {
    SinkError::Again(error.to_string())
}
