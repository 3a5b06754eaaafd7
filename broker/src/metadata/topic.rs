//! One topic.
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use config::TopicConfig;
use uuid::Uuid;

use super::change::{Configs, TopicRecord};
use super::log_config;
use crate::metrics::TopicMetrics;
use crate::partition::Partition;

/// A topic: name and id never change, partitions are only added.
#[derive(Debug)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Id; a topic that is created again gets a new one.
    pub id: Uuid,
    /// Written by the broker alone.
    pub internal: bool,
    owner: Option<Box<str>>,
    /// What is counted.
    pub metrics: TopicMetrics,
    configs: RwLock<InForce>,
    partitions: RwLock<Arc<[Arc<Partition>]>>,
}

#[derive(Debug)]
struct InForce {
    overrides: Arc<Configs>,
    all: Arc<TopicConfig>,
}

impl Topic {
    /// The topic of a record, with these partitions in index order. `config` is what its configs
    /// resolve to.
    pub fn new(
        name: Arc<str>,
        record: TopicRecord,
        config: TopicConfig,
        partitions: Vec<Arc<Partition>>,
    ) -> Self {
        Self {
            name,
            id: record.id,
            internal: record.internal,
            owner: record.owner.map(String::into_boxed_str),
            metrics: TopicMetrics::default(),
            configs: RwLock::new(InForce {
                overrides: Arc::new(record.configs),
                all: Arc::new(config),
            }),
            partitions: RwLock::new(partitions.into()),
        }
    }

    /// The projection that owns the topic, if one does.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The configs in force.
    pub fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&read(&self.configs).all)
    }

    /// The configs that the topic sets itself.
    pub fn overrides(&self) -> Arc<Configs> {
        Arc::clone(&read(&self.configs).overrides)
    }

    /// Puts other configs in force, for the logs too.
    pub fn set_configs(&self, overrides: Configs, config: TopicConfig) {
        for partition in self.partitions().iter() {
            partition.log.set_config(log_config(&config));
        }
        let mut in_force = self.configs.write().unwrap_or_else(PoisonError::into_inner);
        *in_force = InForce {
            overrides: Arc::new(overrides),
            all: Arc::new(config),
        };
    }

    /// All partitions in index order.
    pub fn partitions(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(&read(&self.partitions))
    }

    /// The partition at `index`.
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let partitions = read(&self.partitions);
        partitions.get(usize::try_from(index).ok()?).cloned()
    }

    /// Adds partitions after the last one.
    pub fn extend(&self, more: impl IntoIterator<Item = Arc<Partition>>) {
        let mut partitions = self
            .partitions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *partitions = partitions.iter().cloned().chain(more).collect();
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
