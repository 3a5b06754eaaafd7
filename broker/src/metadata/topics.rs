//! All topics: what is in service, and the store behind it.
//!
//! Look-ups never wait for a disk. Changes do: they run on blocking threads, one at a time under the
//! lock of the store, and each of them runs to its end whether or not its client still listens.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use config::{Settings, TopicConfig};
use storage::{Log, Logs};
use uuid::Uuid;

use super::Topic;
use super::change::Configs;
use super::store::Store;
use crate::metrics::TopicMetrics;
use crate::partition::Partition;

/// All topics, by name and by id.
#[derive(Debug)]
pub struct Topics {
    pub(super) logs: Arc<Logs>,
    /// Settings without dynamic ones.
    pub(super) fixed: Arc<Settings>,
    /// Id of the cluster, as Kafka writes it.
    pub(super) cluster_id: String,
    /// Settings with dynamic ones.
    pub(super) settings: RwLock<Arc<Settings>>,
    pub(super) index: RwLock<Index>,
    pub(super) store: Mutex<Store>,
}

/// The topics in service.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
}

impl Topics {
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

    /// Id of the cluster, as Kafka writes it: made once and kept.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The settings with what `AlterConfigs` set on the broker.
    pub fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&settings)
    }

    /// The one place where metadata changes; blocks while another change runs.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a topic into service.
    pub(super) fn add(
        &self,
        name: &str,
        id: Uuid,
        internal: bool,
        configs: (Configs, TopicConfig),
        logs: Vec<Arc<Log>>,
    ) -> Arc<Topic> {
        let name: Arc<str> = name.into();
        let partitions = (0i32..)
            .zip(logs)
            .map(|(index, log)| Partition::new(index, log))
            .collect();
        let metrics = TopicMetrics::default();
        let topic = Topic::new(
            Arc::clone(&name),
            id,
            internal,
            metrics,
            configs,
            partitions,
        );
        let topic = Arc::new(topic);
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.by_name.insert(name, Arc::clone(&topic));
        index.by_id.insert(id, Arc::clone(&topic));
        topic
    }

    /// Takes a topic out of service.
    pub(super) fn remove(&self, topic: &Topic) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.by_name.remove(&topic.name);
        index.by_id.remove(&topic.id);
    }
}
