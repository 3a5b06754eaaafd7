//! `__projection_state.<view>`: dead letters that were dealt with, so that none is taken twice.
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

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
    /// Offset of the letter in the topic of dead letters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub letter: Option<i64>,
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

/// What is known of a settled letter.
#[derive(Debug, Clone, Copy)]
struct Known {
    how: How,
    letter: Option<i64>,
}

/// The letters of one source that are settled; any thread may look.
#[derive(Debug, Default)]
pub struct Settled {
    topic_id: Box<str>,
    by_spot: RwLock<HashMap<Spot, Known>>,
}

impl Settled {
    /// None yet, of the source with this id.
    pub fn new(topic_id: &str) -> Self {
        Self {
            topic_id: topic_id.into(),
            by_spot: RwLock::default(),
        }
    }

    /// Reads them back, below `to`.
    pub fn load(partition: &Partition, to: i64, topic_id: &str) -> Result<Self, ScanError> {
        let settled = Self::new(topic_id);
        scan(partition, 0, to, |_, record, _| {
            let key = record.key.map(serde_json::from_slice::<Key>);
            let Some(Ok(key)) = key else {
                return;
            };
            if key.topic_id != topic_id {
                return;
            }
            let value = record.value.map(serde_json::from_slice);
            let spot = (key.partition, key.offset);
            settled.apply(&(spot, value.and_then(Result::ok)));
        })?;
        Ok(settled)
    }

    /// How a record of the source was dealt with, if it was.
    pub fn how(&self, spot: Spot) -> Option<How> {
        self.read().get(&spot).map(|known| known.how)
    }

    /// As [`Self::how`], of a record of any topic.
    pub fn how_of(&self, topic_id: &str, spot: Spot) -> Option<How> {
        (*self.topic_id == *topic_id)
            .then(|| self.how(spot))
            .flatten()
    }

    /// Makes a change that is committed.
    pub fn apply(&self, (spot, settlement): &Change) {
        let mut by_spot = self.by_spot.write().unwrap_or_else(PoisonError::into_inner);
        match settlement {
            Some(Settlement { how, letter, .. }) => {
                let (how, letter) = (*how, *letter);
                by_spot.insert(*spot, Known { how, letter });
            }
            None => _ = by_spot.remove(spot),
        }
    }

    /// Bytes of memory, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.read().capacity() * size_of::<(Spot, Known)>()
    }

    /// Those that decide nothing any more, `most` of them: the letter is gone, for letters begin at
    /// `start` now, and so is the record of one that was redriven, for a generation to come would
    /// have to take it again.
    pub fn idle(&self, start: i64, is_gone: impl Fn(Spot) -> bool, most: usize) -> Vec<Change> {
        let by_spot = self.read();
        let idle = by_spot.iter().filter(|(spot, known)| {
            known.letter.is_some_and(|letter| letter < start)
                && (known.how == How::Accepted || is_gone(**spot))
        });
        idle.take(most).map(|(spot, _)| (*spot, None)).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Spot, Known>> {
        self.by_spot.read().unwrap_or_else(PoisonError::into_inner)
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
