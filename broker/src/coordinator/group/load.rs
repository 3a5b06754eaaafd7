//! Makes the groups out of their journals: at start, everything is applied again.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::classic::Group;
use super::formats::{Committed, FormatError, GroupMetadata, Key};
use crate::coordinator::{Journal, JournalError, Replayed};

/// The groups of one journal.
pub fn load(journal: &Journal) -> Result<HashMap<Arc<str>, Group>, JournalError> {
    let mut loading = Loading::default();
    journal.replay_all(|replayed| {
        if let Err(error) = loading.apply(replayed) {
            // The record stays in the log; what it says is lost, the rest is not.
            tracing::error!(%error, "skipped a record of the groups' journal");
        }
    })?;
    Ok(loading.finish())
}

/// Groups as far as their journal was read.
#[derive(Debug, Default)]
pub struct Loading {
    groups: HashMap<Arc<str>, Group>,
    /// Groups with offsets in doubt, by producer.
    in_doubt: HashMap<i64, HashSet<Arc<str>>>,
}

impl Loading {
    /// Applies one record, or the end of a transaction.
    pub fn apply(&mut self, replayed: Replayed<'_>) -> Result<(), FormatError> {
        match replayed {
            Replayed::End {
                producer_id,
                commits,
            } => {
                for name in self.in_doubt.remove(&producer_id).unwrap_or_default() {
                    self.group(&name).end_transaction(producer_id, commits);
                }
                Ok(())
            }
            Replayed::Entry {
                key,
                value,
                offset,
                producer_id,
                ..
            } => self.apply_entry(key, value, offset, producer_id),
        }
    }

    fn apply_entry(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        at: i64,
        producer_id: Option<i64>,
    ) -> Result<(), FormatError> {
        match Key::read(key)? {
            Key::Offset {
                group,
                topic,
                partition,
            } => {
                let committed = value.map(Committed::read).transpose()?;
                let committed = committed.map(|it| Committed { at, ..it });
                let group = self.group(&group);
                match (committed, producer_id) {
                    (None, _) => group.drop_offset(&topic, partition),
                    (Some(it), None) => group.offsets.set(&topic, partition, Some(it)),
                    (Some(it), Some(id)) => {
                        let name = Arc::clone(&group.name);
                        group.in_doubt.put(id, topic.into(), partition, it);
                        self.in_doubt.entry(id).or_default().insert(name);
                    }
                }
            }
            Key::Group(group) => {
                let metadata = value.map(GroupMetadata::read).transpose()?;
                self.group(&group).load(metadata);
            }
            Key::Other(kind) => tracing::debug!(kind, "a record of another kind of group"),
        }
        Ok(())
    }

    fn group(&mut self, name: &str) -> &mut Group {
        let name: Arc<str> = name.into();
        self.groups
            .entry(Arc::clone(&name))
            .or_insert_with(|| Group::new(name))
    }

    /// The groups that have anything.
    pub fn finish(self) -> HashMap<Arc<str>, Group> {
        let mut groups = self.groups;
        groups.retain(|_, group| !group.is_void());
        groups
    }
}
