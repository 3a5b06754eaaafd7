//! All topics.
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use config::{Settings, TopicConfig};
use storage::{Logs, Recovery};
use uuid::Uuid;

use super::{Topic, log_config};
use crate::metrics::Metrics;
use crate::partition::Partition;

/// All topics, by name and by id.
#[derive(Debug)]
pub struct Topics {
    logs: Arc<Logs>,
    metrics: Arc<Metrics>,
    settings: Arc<Settings>,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
}

impl Topics {
    /// Takes the partitions that were found on disk into service.
    pub fn open(
        logs: Arc<Logs>,
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        recovery: Recovery,
    ) -> anyhow::Result<Self> {
        let settings = Arc::clone(settings);
        let topics = Self {
            logs,
            metrics: Arc::clone(metrics),
            settings,
            index: RwLock::default(),
        };
        let mut found: BTreeMap<String, (Uuid, BTreeMap<i32, _>)> = BTreeMap::new();
        for folder in recovery.partitions {
            let id = Uuid::from_bytes(folder.topic_id);
            let entry = found
                .entry(folder.topic)
                .or_insert_with(|| (id, BTreeMap::new()));
            entry.1.insert(folder.partition, folder.log);
        }
        for (name, (id, logs)) in found {
            topics.add(&name, id, logs.into_values().collect())?;
        }
        Ok(topics)
    }

    /// The topic of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_name.get(name).cloned()
    }

    /// The topic of this id.
    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_id.get(&id).cloned()
    }

    /// One partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        self.get(topic)?.partition(partition)
    }

    /// All topics in name order.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_name.values().cloned().collect()
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32) -> anyhow::Result<Arc<Topic>> {
        let config = log_config(&TopicConfig::resolve(&BTreeMap::new(), &self.settings)?);
        let id = Uuid::new_v4();
        let logs = self
            .logs
            .create_many(name, 0..partitions, *id.as_bytes(), &config)?;
        self.add(name, id, logs)
    }

    fn add(
        &self,
        name: &str,
        id: Uuid,
        logs: Vec<Arc<storage::Log>>,
    ) -> anyhow::Result<Arc<Topic>> {
        let config = TopicConfig::resolve(&BTreeMap::new(), &self.settings)?;
        let name: Arc<str> = name.into();
        let partitions = (0i32..)
            .zip(logs)
            .map(|(index, log)| Partition::new(Arc::clone(&name), id, index, log))
            .collect();
        let internal = name.starts_with("__");
        let metrics = self.metrics.topic(&name);
        let topic = Arc::new(Topic::new(
            Arc::clone(&name),
            id,
            internal,
            metrics,
            config,
            partitions,
        ));
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.by_name.insert(name, Arc::clone(&topic));
        index.by_id.insert(id, Arc::clone(&topic));
        Ok(topic)
    }
}
