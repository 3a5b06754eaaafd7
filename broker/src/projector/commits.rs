//! `__projection_commits`: the one log that says how far each view is.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use projection::Commit;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::coordinator::{Entry, Journal, JournalError};
use crate::metadata::{TopicError, Topics};
use storage::AppendError;

/// Name of the topic.
pub const TOPIC: &str = "__projection_commits";
const CONFIGS: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("segment.bytes", "8388608")];
/// Commits of one view that are remembered at the start, should the newest ones not hold.
const REMEMBERED: usize = 1024;

/// The key of a commit record; JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Key {
    projection: String,
}

/// Why a commit was not written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The topic could not be made.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The log refused it: it is not there.
    #[error("{TOPIC}: {0}")]
    Append(AppendError),
    /// It is there, and it is not known whether it lasts.
    #[error("{TOPIC}: {0}")]
    Durable(AppendError),
}

/// The log of commits.
#[derive(Debug)]
pub struct Commits {
    topics: Arc<Topics>,
    /// Whether a commit waits for the disk.
    durable: bool,
}

impl Commits {
    /// The log, which is made with the first commit.
    pub fn new(topics: Arc<Topics>, durable: bool) -> Self {
        Self { topics, durable }
    }

    /// The last commits of each view, the newest one last.
    pub fn load(&self) -> Result<BTreeMap<String, VecDeque<Commit>>, JournalError> {
        let mut commits: BTreeMap<String, VecDeque<Commit>> = BTreeMap::new();
        let Some(partition) = self.topics.partition(TOPIC, 0) else {
            return Ok(commits);
        };
        Journal::new(partition).replay(|key, value, _| {
            let Ok(key) = serde_json::from_slice::<Key>(key) else {
                tracing::error!(topic = TOPIC, "skipped a record with an unknown key");
                return;
            };
            let of_view = commits.entry(key.projection).or_default();
            match value.map(serde_json::from_slice::<Commit>) {
                None => of_view.clear(),
                Some(Ok(commit)) => {
                    if of_view.len() == REMEMBERED {
                        of_view.pop_front();
                    }
                    of_view.push_back(commit);
                }
                Some(Err(error)) => {
                    tracing::error!(topic = TOPIC, %error, "skipped a record that is no commit");
                }
            }
        })?;
        commits.retain(|_, of_view| !of_view.is_empty());
        Ok(commits)
    }

    /// Makes the log if it is not there.
    pub fn make(&self) -> Result<Journal, CommitError> {
        let topic = self.topics.internal(TOPIC, 1, CONFIGS)?;
        let partition = topic.partition(0);
        let partition = partition.ok_or(CommitError::Append(AppendError::Closed))?;
        Ok(Journal::new(partition))
    }

    /// Appends a commit, and waits for the disk if commits do.
    pub fn append(
        &self,
        commit: &Commit,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), CommitError> {
        let journal = self.make()?;
        let key = Key {
            projection: commit.projection.clone(),
        };
        let entry = Entry {
            key: json(&key),
            value: Some(json(commit)),
        };
        let offset = journal.append(&[entry]).map_err(CommitError::Append)?;
        if self.durable {
            let durable = journal.partition().durable_blocking(offset, stopping);
            durable.map_err(CommitError::Durable)?;
        }
        Ok(())
    }
}

/// The JSON of a value.
pub fn json(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(value);
    json.expect("strings, numbers and lists of them have a JSON form")
        .into()
}
