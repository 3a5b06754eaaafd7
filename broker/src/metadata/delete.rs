//! Deleting topics: written down first, then the folders, then forgotten. Whoever waits at one of its
//! partitions is woken.
use std::sync::Arc;

use tracing::{error, info};

use super::change::{Change, TopicRecord};
use super::store::Store;
use super::topic_error::TopicError;
use super::{Topic, Topics};

impl Topics {
    /// Deletes a topic; blocks until that lasts. `find` looks it up once no other change runs.
    pub fn delete(
        &self,
        find: impl FnOnce(&Topics) -> Result<Arc<Topic>, TopicError>,
    ) -> Result<Arc<Topic>, TopicError> {
        if !self.fixed.delete_topic_enable {
            return Err(TopicError::DeletionDisabled);
        }
        let mut store = self.store();
        let topic = find(self)?;
        topic.check_open()?;
        self.delete_held(&mut store, &topic)?;
        Ok(topic)
    }

    /// Deletes a topic while no other change runs.
    pub(super) fn delete_held(&self, store: &mut Store, topic: &Topic) -> Result<(), TopicError> {
        let name = topic.name.to_string();
        let record = store.image().topics.get(&name).ok_or(TopicError::Unknown)?;
        let deleting = TopicRecord {
            deleting: true,
            ..record.clone()
        };
        store.commit(vec![Change::Topic(name.clone(), Some(deleting))])?;
        store.flush()?;
        self.remove(topic);
        let finished = self.finish_deletion(store, &name);
        for partition in topic.partitions().iter() {
            partition.deleted();
        }
        info!(topic = name, "deleted");
        if let Err(error) = finished {
            // It is gone for clients; the folders go at the next start or when the name is used
            // again.
            error!(topic = name, %error, "cannot remove the folders of a deleted topic");
        }
        Ok(())
    }

    /// Removes the folders of a topic that is marked as being deleted, and forgets it.
    pub(super) fn finish_deletion(&self, store: &mut Store, name: &str) -> Result<(), TopicError> {
        if let Some(topic) = store.image().topics.get(name) {
            self.drop_folders(name, 0..topic.partitions)?;
            store.commit(vec![Change::Topic(name.to_owned(), None)])?;
        }
        Ok(())
    }
}
