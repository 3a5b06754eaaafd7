//! The offsets that a group committed.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::formats::Committed;

/// Committed offsets by topic and partition.
#[derive(Debug, Default)]
pub struct Offsets {
    by_topic: BTreeMap<Arc<str>, BTreeMap<i32, Committed>>,
}

impl Offsets {
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
                partitions.insert(partition, committed);
            }
            (Some(committed), None) => {
                let partitions = BTreeMap::from([(partition, committed)]);
                self.by_topic.insert(topic.into(), partitions);
            }
            (None, Some(partitions)) => {
                partitions.remove(&partition);
                if partitions.is_empty() {
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
