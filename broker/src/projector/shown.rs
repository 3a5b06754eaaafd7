//! What a view's thread last said of the view, and what follows from it at this moment.
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use projection::{Counts, Table};

use super::describe::{Building, Description, Lag, State};
use super::handle::Serving;
use crate::metadata::Topic;

/// A view that was up to date this lately is not behind: it takes in what just came.
const LATELY: Duration = Duration::from_secs(2);

/// How far one partition of the source is in the view.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// Partition.
    pub partition: i32,
    /// First offset that was read.
    pub first: i64,
    /// Offset of the next record.
    pub next: i64,
    /// Largest event time seen, epoch ms.
    pub stream_time: Option<i64>,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Shown {
    /// Name of the view.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Name of the source.
    pub source: Arc<str>,
    /// Hash of the definition.
    pub definition: Arc<str>,
    /// The state, where it does not follow from positions.
    pub stopped: Option<State>,
    /// What goes wrong although the view has not stopped.
    pub trouble: Option<String>,
    /// The source, once it is there.
    pub topic: Option<Arc<Topic>>,
    /// The rows, once something was committed.
    pub table: Option<Arc<dyn Table>>,
    /// Generation that readers see, 0 before the first commit.
    pub generation: u64,
    /// How far it is, by partition.
    pub positions: Arc<[Position]>,
    /// Offset after the last row in the view's topic.
    pub rows_next: i64,
    /// What became of the records.
    pub counts: Counts,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// When the process began to look.
    pub since: Option<Instant>,
    /// When it was last up to date; never yet, while the first generation is being built.
    pub caught_up: Option<Instant>,
    /// The generation that is being built beside.
    pub building: Option<Building>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("name", &self.name)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Shown {
    /// What readers see.
    pub fn serving(&self) -> Option<Serving> {
        let table = Arc::clone(self.table.as_ref()?);
        let position = self.positions.iter();
        Some(Serving {
            table,
            generation: self.generation,
            position: position.map(|it| (it.partition, it.next)).collect(),
            rows_next: self.rows_next,
            lag: self.lags().iter().map(|lag| lag.records).sum(),
        })
    }

    /// Everything about the view.
    pub fn describe(&self) -> Description {
        let sources = self.lags();
        let state = self.state(&sources);
        let reason = state.reason().map(str::to_owned);
        Description {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            source: self.source.to_string(),
            reason: reason.or_else(|| self.trouble.clone()),
            state,
            definition: self.definition.to_string(),
            generation: self.generation,
            building: self.building.clone(),
            sources,
            rows: self.table.as_ref().map_or(0, |table| table.len() as u64),
            counts: self.counts,
            memory_bytes: self.memory_bytes,
        }
    }

    fn state(&self, lags: &[Lag]) -> State {
        if let Some(stopped) = &self.stopped {
            return stopped.clone();
        }
        let behind = lags.iter().any(|lag| lag.records > 0);
        match self.caught_up {
            _ if self.generation == 0 && !behind => State::Created,
            None => State::Building(self.percent(lags)),
            Some(_) if !behind => State::Running,
            Some(at) if at.elapsed() < LATELY => State::Running,
            Some(_) => State::Lagging,
        }
    }

    /// What was read of what there is, from the first record on.
    fn percent(&self, lags: &[Lag]) -> u8 {
        let read = self.positions.iter().map(|it| it.next - it.first);
        let (read, left): (i64, i64) = (read.sum(), lags.iter().map(|lag| lag.records).sum());
        let all = (read + left).max(1);
        (100 * i128::from(read) / i128::from(all)).clamp(0, 100) as u8
    }

    /// How far each partition is behind. Without a commit, all that is there is still to be read.
    fn lags(&self) -> Vec<Lag> {
        let Some(topic) = &self.topic else {
            return Vec::new();
        };
        let partitions = topic.partitions();
        let lag = |partition: &Arc<crate::partition::Partition>| {
            let index = partition.index;
            let known = self.positions.iter().find(|it| it.partition == index);
            let start = partition.log.start_offset();
            let next = known.map_or(start, |it| it.next);
            let end = partition.last_stable_offset();
            Lag {
                partition: index,
                next,
                end,
                records: (end - next).max(0),
                stream_time: known.and_then(|it| it.stream_time),
            }
        };
        partitions.iter().map(lag).collect()
    }

    /// Whether all that is not in the view came just now.
    pub fn is_fresh(&self) -> bool {
        let Some(topic) = &self.topic else {
            return false;
        };
        let young = |lag: &Lag| {
            let partition = topic.partition(lag.partition);
            let at = partition.and_then(|it| it.appended_at(lag.next));
            lag.records == 0 || at.is_some_and(|at| at.elapsed() < LATELY)
        };
        self.lags().iter().all(young)
    }

    /// How long the oldest record that is not in the view waits already, seconds.
    pub fn lag_seconds(&self) -> f64 {
        let Some(topic) = &self.topic else {
            return 0.0;
        };
        let behind = self.lags().into_iter().filter(|lag| lag.records > 0);
        let since = behind.filter_map(|lag| {
            let at = topic.partition(lag.partition)?.appended_at(lag.next);
            // What came before the start of the process waits at least since then, or since the
            // view was up to date.
            at.or(self.caught_up).or(self.since)
        });
        let oldest = since.min();
        oldest.map_or(0.0, |at| at.elapsed().as_secs_f64())
    }

    /// Records in the source so far, and its name.
    pub fn ingested(&self) -> (String, i64) {
        let ends = self.topic.as_ref().map_or(0, |topic| {
            let partitions = topic.partitions();
            partitions.iter().map(|it| it.last_stable_offset()).sum()
        });
        (self.source.to_string(), ends)
    }
}
