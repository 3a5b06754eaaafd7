//! Topics that clients cannot change: the broker's own, and those that a projection owns.
//!
//! A projection's topics can be read like any other. Nobody but the projection writes, deletes or
//! grows them, and nobody changes their cleanup policy or whose time their records carry; all other
//! configs are the user's.
use std::sync::Arc;

use config::TopicConfig;
use tracing::info;

use super::change::Configs;
use super::new_topic::Plan;
use super::topic_error::TopicError;
use super::{Topic, Topics, topic_name};

impl Topic {
    /// Whether clients may write the topic, delete records of it, delete it or add partitions to it.
    pub fn check_open(&self) -> Result<(), TopicError> {
        if self.internal {
            return Err(TopicError::Internal(self.name.to_string()));
        }
        match self.owner() {
            None => Ok(()),
            Some(projection) => Err(TopicError::Owned {
                topic: self.name.to_string(),
                projection: projection.to_owned(),
            }),
        }
    }

    /// Whether clients may make `after` of the topic's configs, which are `before` now.
    pub(super) fn check_configs(
        &self,
        before: &TopicConfig,
        after: &TopicConfig,
    ) -> Result<(), TopicError> {
        let Some(projection) = self.owner() else {
            return Ok(());
        };
        let fixed = if before.cleanup_policy != after.cleanup_policy {
            "cleanup.policy"
        } else if before.message_timestamp_type != after.message_timestamp_type {
            "message.timestamp.type"
        } else {
            return Ok(());
        };
        Err(TopicError::Policy(format!(
            "{fixed} of topic {} cannot be changed: projection {projection} owns it",
            self.name
        )))
    }
}

impl Topics {
    /// The topic of this name that `projection` owns; makes it if it is not there, as an internal one
    /// if only the broker uses such names. One that is there stays as it is. Blocks until it lasts.
    pub fn owned(
        &self,
        name: &str,
        partitions: i32,
        overrides: &[(&str, &str)],
        projection: &str,
    ) -> Result<Arc<Topic>, TopicError> {
        if let Some(reason) = topic_name::reason_invalid(name) {
            return Err(TopicError::Name(reason));
        }
        if let Some(topic) = self.get(name) {
            return topic.owned_by(projection);
        }
        let plan = self.own_plan(name, partitions, overrides)?;
        let mut store = self.store();
        if let Some(topic) = self.get(name) {
            return topic.owned_by(projection);
        }
        let class = Class {
            internal: topic_name::is_internal(name),
            owner: Some(projection.to_owned()),
        };
        self.make_one(&mut store, plan, &class)
    }

    /// Deletes a topic that `projection` owns; blocks until that lasts. The offsets that groups
    /// committed in it are the caller's to forget.
    pub fn delete_owned(&self, name: &str, projection: &str) -> Result<(), TopicError> {
        let mut store = self.store();
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let topic = topic.owned_by(projection)?;
        self.delete_held(&mut store, &topic)?;
        info!(topic = name, projection, "deleted a projection's topic");
        Ok(())
    }

    /// A topic of the broker's own, as it has to be.
    pub(super) fn own_plan(
        &self,
        name: &str,
        partitions: i32,
        overrides: &[(&str, &str)],
    ) -> Result<Plan, TopicError> {
        let pairs = overrides.iter();
        let overrides: Configs = pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let config = TopicConfig::resolve(&overrides, &self.settings())?;
        Ok(Plan {
            name: name.to_owned(),
            partitions,
            overrides,
            config,
        })
    }
}

/// Whose a new topic is.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// Written by the broker alone.
    pub internal: bool,
    /// The projection that owns it.
    pub owner: Option<String>,
}

impl Topic {
    fn owned_by(self: Arc<Self>, projection: &str) -> Result<Arc<Self>, TopicError> {
        if self.owner() == Some(projection) {
            return Ok(self);
        }
        Err(TopicError::NotOwned {
            topic: self.name.to_string(),
            projection: projection.to_owned(),
            owner: self.owner().map(str::to_owned),
        })
    }
}
