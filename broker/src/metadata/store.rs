//! The metadata and its log: every change is appended, then applied, so that the state is always what
//! a replay of the log would give.
use std::collections::BTreeMap;

use storage::{AppendError, StorageError};

use super::change::{BadRecord, Change, Configs, TopicRecord};
use crate::coordinator::{Journal, JournalError};

/// All that the metadata log tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Id of the cluster, once it has one.
    pub cluster_id: Option<String>,
    /// Topics by name, those that are being deleted included.
    pub topics: BTreeMap<String, TopicRecord>,
    /// Dynamic broker configs by broker number; "" holds for every broker.
    pub brokers: BTreeMap<String, Configs>,
    /// First producer id that was never given out.
    pub next_producer_id: i64,
}

/// The metadata and its log.
#[derive(Debug)]
pub struct Store {
    journal: Journal,
    image: Image,
}

/// Why the metadata could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record in it.
    #[error(transparent)]
    Record(#[from] BadRecord),
}

/// Why a change was not made, or is not known to last.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The log refused it; nothing changed.
    #[error("metadata log: {0}")]
    Append(#[from] AppendError),
    /// It could not be flushed.
    #[error("metadata log: {0}")]
    Flush(#[from] StorageError),
}

impl Image {
    /// Makes one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Cluster(id) => self.cluster_id = Some(id),
            Change::Topic(name, Some(topic)) => {
                self.topics.insert(name, topic);
            }
            Change::Topic(name, None) => {
                self.topics.remove(&name);
            }
            Change::Broker(name, configs) => {
                self.brokers.insert(name, configs);
            }
            Change::ProducerIds(next) => self.next_producer_id = next,
        }
    }

    /// Dynamic configs of one broker, or with "" of every broker.
    pub fn broker(&self, name: &str) -> Configs {
        self.brokers.get(name).cloned().unwrap_or_default()
    }

    /// Partitions of all topics together.
    pub fn partition_count(&self) -> i64 {
        self.topics
            .values()
            .map(|topic| i64::from(topic.partitions))
            .sum()
    }
}

impl Store {
    /// Reads the metadata back from its log.
    pub fn replay(journal: Journal) -> Result<Self, ReplayError> {
        let mut image = Image::default();
        let mut bad = None;
        journal.replay(|key, value, _| match Change::of(key, value) {
            Ok(change) => image.apply(change),
            Err(error) => bad = bad.take().or(Some(error)),
        })?;
        match bad {
            Some(error) => Err(error.into()),
            None => Ok(Self { journal, image }),
        }
    }

    /// The state.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Makes all changes or none of them. They survive a crash of the process at once, and the loss
    /// of power after [`Self::flush`].
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), CommitError> {
        if changes.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = changes.iter().map(Change::entry).collect();
        self.journal.append(&entries)?;
        for change in changes {
            self.image.apply(change);
        }
        Ok(())
    }

    /// Waits until all changes are on the disk.
    pub fn flush(&self) -> Result<(), CommitError> {
        Ok(self.journal.flush()?)
    }

    /// Changes that a loss of power would take.
    #[cfg(test)]
    pub fn unflushed(&self) -> i64 {
        self.journal.unflushed()
    }

    /// What a restart would make of the log.
    #[cfg(test)]
    pub fn replayed(&self) -> Self {
        Self::replay(self.journal.clone()).expect("the log that was just written")
    }
}
