//! `__projection_state.<view>`: dead letters that were dealt with, so that none is taken twice.
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::batches::Batches;
use super::commits::json;
use super::letters::Spot;
use super::scan::{ScanError, scan};
use crate::partition::{Partition, now_ms};

/// How a letter was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Taken after all, out of turn.
    Redriven,
    /// A later generation took the record in its turn.
    Accepted,
}

/// The value of a record; JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Why it was rejected before.
    pub reason: String,
    /// How it was dealt with.
    pub how: How,
    /// By which generation.
    pub generation: u64,
}

/// The key of a record; JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Key<'a> {
    #[serde(borrow)]
    topic_id: std::borrow::Cow<'a, str>,
    partition: i32,
    offset: i64,
}

/// A change: settled, or (`None`) not any more.
pub type Change = (Spot, Option<Settlement>);

/// The letters of one source that are settled.
#[derive(Debug, Default)]
pub struct Settled {
    by_spot: HashMap<Spot, Settlement>,
}

impl Settled {
    /// Reads them back, below `to`.
    pub fn load(partition: &Partition, to: i64, topic_id: &str) -> Result<Self, ScanError> {
        let mut settled = Self::default();
        scan(partition, 0, to, |_, record, _| {
            let key = record.key.map(serde_json::from_slice::<Key>);
            let Some(Ok(key)) = key else {
                return;
            };
            if key.topic_id != topic_id {
                return;
            }
            let value = record.value.map(serde_json::from_slice);
            settled.apply(((key.partition, key.offset), value.and_then(Result::ok)));
        })?;
        Ok(settled)
    }

    /// How the record was dealt with, if it was.
    pub fn get(&self, spot: Spot) -> Option<&Settlement> {
        self.by_spot.get(&spot)
    }

    /// Makes a change that is committed.
    pub fn apply(&mut self, (spot, settlement): Change) {
        match settlement {
            Some(settlement) => drop(self.by_spot.insert(spot, settlement)),
            None => drop(self.by_spot.remove(&spot)),
        }
    }
}

/// The changes as records.
pub fn records(changes: &[Change], topic_id: &str) -> Batches {
    let mut batches = Batches::default();
    for ((partition, offset), settlement) in changes {
        let key = json(&Key {
            topic_id: topic_id.into(),
            partition: *partition,
            offset: *offset,
        });
        let value = settlement.as_ref().map(json);
        batches.push(now_ms(), Some(&key), value.as_deref(), &[]);
    }
    batches
}
