//! All topics: what is in service, and the store behind it.
//!
//! Look-ups never wait for a disk. Changes do: they run on blocking threads, one at a time under the
//! lock of the store, and each of them runs to its end whether or not its client still listens.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use config::{Settings, TopicConfig};
use storage::{Log, Logs};
use uuid::Uuid;

use super::Topic;
use super::change::TopicRecord;
use super::store::Store;
use crate::partition::{Partition, Registration, Waiters, Wake};

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
    pub(super) changes: Changes,
}

/// How often topics were made, grown or deleted, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Changes {
    count: AtomicU64,
    waiters: Waiters,
}

impl Changes {
    /// There was one more.
    pub(super) fn tell(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.waiters.wake();
    }
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

    /// A number that rises whenever a topic is made, gets partitions, or is deleted.
    pub fn changes(&self) -> u64 {
        self.changes.count.load(Ordering::Acquire)
    }

    /// Registers to be woken by the next change of [`Self::changes`], once. As with a partition:
    /// register, look, then wait.
    pub fn register<W: Wake>(&self, wake: &Arc<W>) -> Registration<'_> {
        self.changes.waiters.register(wake)
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
        record: TopicRecord,
        config: TopicConfig,
        logs: Vec<Arc<Log>>,
    ) -> Arc<Topic> {
        let id = record.id;
        let name: Arc<str> = name.into();
        let partitions = (0i32..)
            .zip(logs)
            .map(|(index, log)| Partition::new(index, log))
            .collect();
        let topic = Arc::new(Topic::new(Arc::clone(&name), record, config, partitions));
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.by_name.insert(name, Arc::clone(&topic));
        index.by_id.insert(id, Arc::clone(&topic));
        drop(index);
        self.changes.tell();
        topic
    }

    /// Takes a topic out of service.
    pub(super) fn remove(&self, topic: &Topic) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.by_name.remove(&topic.name);
        index.by_id.remove(&topic.id);
        drop(index);
        self.changes.tell();
    }
}
