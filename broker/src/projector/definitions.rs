//! `__projections`: what the user wants of each view. Everything else follows from positions.
use std::collections::BTreeMap;
use std::sync::Arc;

use projection::Options;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::commits::{CommitError, json};
use crate::coordinator::{Entry, Journal, JournalError};
use crate::metadata::Topics;
use storage::AppendError;

/// Name of the topic.
const TOPIC: &str = "__projections";
const CONFIGS: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("segment.bytes", "1048576")];

/// The value of a record; its key is the name of the view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Hash of the definition that the serving generation follows.
    #[serde(rename = "definition")]
    pub hash: String,
    /// Its options.
    pub options: KeptOptions,
    /// Number of the serving generation.
    pub generation: u64,
    /// Whether the view is to stand still: why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused: Option<String>,
    /// A new generation that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rebuild: Option<Rebuild>,
    /// What the source lacks of what the serving generation read: a log that lost its end does not
    /// show it any more once it has grown again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<String>,
    /// What the serving generation lacks because the user accepted that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted_loss: Option<String>,
}

/// A request for a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Even if records are gone.
    pub accept_loss: bool,
    /// To be promoted by hand.
    pub hold: bool,
}

/// [`Options`] as the log keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOptions {
    source: String,
    aliases: Vec<(String, String)>,
    dedup_window_ms: Option<i64>,
    max_future_skew_ms: i64,
}

impl From<&Options> for KeptOptions {
    fn from(options: &Options) -> Self {
        Self {
            source: options.source.clone(),
            aliases: options.aliases.clone(),
            dedup_window_ms: options.dedup_window_ms,
            max_future_skew_ms: options.max_future_skew_ms,
        }
    }
}

impl From<KeptOptions> for Options {
    fn from(kept: KeptOptions) -> Self {
        Self {
            source: kept.source,
            aliases: kept.aliases,
            dedup_window_ms: kept.dedup_window_ms,
            max_future_skew_ms: kept.max_future_skew_ms,
        }
    }
}

/// The log of definitions.
#[derive(Debug)]
pub struct Definitions {
    topics: Arc<Topics>,
    durable: bool,
}

impl Definitions {
    /// The log, which is made with the first view.
    pub fn new(topics: Arc<Topics>, durable: bool) -> Self {
        Self { topics, durable }
    }

    /// What stands in the log, by view.
    pub fn load(&self) -> Result<BTreeMap<String, Definition>, JournalError> {
        let mut definitions = BTreeMap::new();
        let Some(partition) = self.topics.partition(TOPIC, 0) else {
            return Ok(definitions);
        };
        Journal::new(partition).replay(|key, value, _| {
            let name = String::from_utf8_lossy(key).into_owned();
            match value.map(serde_json::from_slice) {
                None => drop(definitions.remove(&name)),
                Some(Ok(definition)) => drop(definitions.insert(name, definition)),
                Some(Err(error)) => {
                    tracing::error!(topic = TOPIC, view = name, %error, "skipped a record");
                }
            }
        })?;
        Ok(definitions)
    }

    /// Writes what is wanted of a view, and waits for the disk if commits do.
    pub fn write(
        &self,
        view: &str,
        definition: &Definition,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), CommitError> {
        let topic = self.topics.internal(TOPIC, 1, CONFIGS)?;
        let partition = topic.partition(0);
        let partition = partition.ok_or(CommitError::Append(AppendError::Closed))?;
        let journal = Journal::new(partition);
        let entry = Entry {
            key: view.to_owned().into(),
            value: Some(json(definition)),
        };
        let offset = journal.append(&[entry]).map_err(CommitError::Append)?;
        if self.durable {
            let durable = journal.partition().durable_blocking(offset, stopping);
            durable.map_err(CommitError::Durable)?;
        }
        Ok(())
    }
}
