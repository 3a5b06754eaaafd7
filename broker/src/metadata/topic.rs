//! One topic.
use std::sync::{Arc, PoisonError, RwLock};

use config::TopicConfig;
use uuid::Uuid;

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
    /// What is counted.
    pub metrics: TopicMetrics,
    config: RwLock<Arc<TopicConfig>>,
    partitions: RwLock<Arc<[Arc<Partition>]>>,
}

impl Topic {
    /// A topic with these partitions, in index order.
    pub fn new(
        name: Arc<str>,
        id: Uuid,
        internal: bool,
        metrics: TopicMetrics,
        config: TopicConfig,
        partitions: Vec<Arc<Partition>>,
    ) -> Self {
        let config = RwLock::new(Arc::new(config));
        Self {
            name,
            id,
            internal,
            metrics,
            config,
            partitions: RwLock::new(partitions.into()),
        }
    }

    /// The configs in force.
    pub fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All partitions in index order.
    pub fn partitions(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(
            &self
                .partitions
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The partition at `index`.
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let partitions = self
            .partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        partitions.get(usize::try_from(index).ok()?).cloned()
    }
}
