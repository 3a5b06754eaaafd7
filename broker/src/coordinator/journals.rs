//! The journals of a coordinator: one for each partition of its topic, which is made when it is first
//! needed.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use protocol::error::ErrorCode;

use super::{Journal, partition_of};
use crate::metadata::{Topic, Topics};
use crate::process::in_place;

/// All journals of a coordinator.
#[derive(Debug)]
pub struct Journals {
    topics: Arc<Topics>,
    /// Name of the topic.
    topic: &'static str,
    /// Partitions that it is made with.
    partitions: i32,
    /// What it needs that topics do not have by default.
    configs: &'static [(&'static str, &'static str)],
    /// Once the topic is there.
    all: OnceLock<Vec<Journal>>,
    making: Mutex<()>,
}

fn journals_of(topic: &Topic) -> Vec<Journal> {
    let partitions = topic.partitions();
    partitions.iter().cloned().map(Journal::new).collect()
}

impl Journals {
    /// The journals in `topic`, which is made with so many partitions and these settings.
    pub fn new(
        topics: Arc<Topics>,
        topic: &'static str,
        partitions: i32,
        configs: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            topics,
            topic,
            partitions,
            configs,
            all: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    /// Those that are there: all or none.
    pub fn existing(&self) -> &[Journal] {
        let Some(topic) = self.topics.get(self.topic) else {
            return &[];
        };
        self.all.get_or_init(|| journals_of(&topic))
    }

    /// All of them; makes the topic if need be.
    pub fn all(&self) -> Result<&[Journal], ErrorCode> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        in_place(|| self.make())
    }

    fn make(&self) -> Result<&[Journal], ErrorCode> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let topic = self
            .topics
            .internal(self.topic, self.partitions, self.configs);
        let topic = topic.map_err(|error| {
            tracing::error!(%error, topic = self.topic, "cannot create a coordinator's topic");
            ErrorCode::CoordinatorNotAvailable
        })?;
        Ok(self.all.get_or_init(|| journals_of(&topic)))
    }

    /// The partition that a name is kept in.
    pub fn partition_of(&self, name: &str) -> Result<i32, ErrorCode> {
        Ok(partition_of(name, self.all()?.len()) as i32)
    }

    /// The journal that a name is kept in.
    pub fn of(&self, name: &str) -> Result<Journal, ErrorCode> {
        let all = self.all()?;
        Ok(all[partition_of(name, all.len())].clone())
    }
}
