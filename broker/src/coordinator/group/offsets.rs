//! The offsets that a group committed.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::formats::Committed;

/// A topic: its name, and the first node of its tree.
const TOPIC: usize = 1024;
/// A committed offset, besides its metadata.
const OFFSET: usize = 160;

/// Memory that a committed offset takes.
pub fn size_of(committed: &Committed) -> usize {
    OFFSET + committed.metadata.len()
}

/// Committed offsets by topic and partition.
#[derive(Debug, Default)]
pub struct Offsets {
    by_topic: BTreeMap<Arc<str>, BTreeMap<i32, Committed>>,
    bytes: usize,
}

impl Offsets {
    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn recount(&self) -> usize {
        let topic = |(topic, partitions): (&Arc<str>, &BTreeMap<i32, Committed>)| {
            TOPIC + topic.len() + partitions.values().map(size_of).sum::<usize>()
        };
        self.by_topic.iter().map(topic).sum()
    }

    /// Memory that commits would add, at most.
    pub fn growth(&self, commits: &[(Arc<str>, i32, Committed)]) -> usize {
        let mut last = "";
        let mut growth = 0;
        for (topic, partition, committed) in commits {
            let known = self.by_topic.get(topic);
            if known.is_none() && last != &**topic {
                growth += TOPIC + topic.len();
            }
            last = topic;
            let replaced = known.and_then(|partitions| partitions.get(partition));
            growth += size_of(committed).saturating_sub(replaced.map_or(0, size_of));
        }
        growth
    }

    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// What was committed for a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.by_topic.get(topic)?.get(&partition)
    }

    /// Puts a commit in, or takes one out.
    pub fn set(&mut self, topic: &str, partition: i32, committed: Option<Committed>) {
        match (committed, self.by_topic.get_mut(topic)) {
            (Some(committed), Some(partitions)) => {
                self.bytes += size_of(&committed);
                let replaced = partitions.insert(partition, committed);
                self.bytes -= replaced.as_ref().map_or(0, size_of);
            }
            (Some(committed), None) => {
                self.bytes += TOPIC + topic.len() + size_of(&committed);
                let partitions = BTreeMap::from([(partition, committed)]);
                self.by_topic.insert(topic.into(), partitions);
            }
            (None, Some(partitions)) => {
                let removed = partitions.remove(&partition);
                self.bytes -= removed.as_ref().map_or(0, size_of);
                if partitions.is_empty() {
                    self.bytes -= TOPIC + topic.len();
                    self.by_topic.remove(topic);
                }
            }
            (None, None) => {}
        }
    }

    /// All topics with their partitions.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<i32, Committed>)> {
        self.by_topic.iter()
    }

    /// The partitions whose commits satisfy `chosen`.
    pub fn places(&self, chosen: impl Fn(&str, &Committed) -> bool) -> Vec<(Arc<str>, i32)> {
        let mut places = Vec::new();
        for (topic, partitions) in &self.by_topic {
            for (partition, committed) in partitions {
                if chosen(topic, committed) {
                    places.push((Arc::clone(topic), *partition));
                }
            }
        }
        places
    }
}
