//! Makes the groups out of their journals: at start, everything is applied again.
use std::collections::HashMap;
use std::sync::Arc;

use super::classic::Group;
use super::formats::{Committed, FormatError, GroupMetadata, Key};
use crate::coordinator::{Journal, JournalError, Replayed};

/// The groups of one journal.
pub fn load(journal: &Journal) -> Result<HashMap<Arc<str>, Group>, JournalError> {
    let mut groups = HashMap::new();
    journal.replay_all(|replayed| {
        if let Err(error) = apply(&mut groups, replayed) {
            // The record stays in the log; what it says is lost, the rest is not.
            tracing::error!(%error, "skipped a record of the groups' journal");
        }
    })?;
    groups.retain(|_, group| !group.is_void());
    Ok(groups)
}

/// Applies one record, or the end of a transaction.
pub fn apply(
    groups: &mut HashMap<Arc<str>, Group>,
    replayed: Replayed<'_>,
) -> Result<(), FormatError> {
    let (key, value, at, producer_id) = match replayed {
        Replayed::End {
            producer_id,
            commits,
        } => {
            for group in groups.values_mut() {
                group.end_transaction(producer_id, commits);
            }
            return Ok(());
        }
        Replayed::Entry {
            key,
            value,
            offset,
            producer_id,
            ..
        } => (key, value, offset, producer_id),
    };
    match Key::read(key)? {
        Key::Offset {
            group,
            topic,
            partition,
        } => {
            let committed = value.map(Committed::read).transpose()?;
            let committed = committed.map(|it| Committed { at, ..it });
            let group = group_of(groups, &group);
            match (producer_id, committed) {
                (Some(id), Some(it)) => group.in_doubt.put(id, topic.into(), partition, it),
                (_, committed) => group.offsets.set(&topic, partition, committed),
            }
        }
        Key::Group(group) => {
            let metadata = value.map(GroupMetadata::read).transpose()?;
            group_of(groups, &group).load(metadata);
        }
        Key::Other(kind) => tracing::debug!(kind, "a record of another kind of group"),
    }
    Ok(())
}

fn group_of<'a>(groups: &'a mut HashMap<Arc<str>, Group>, name: &str) -> &'a mut Group {
    let name: Arc<str> = name.into();
    groups
        .entry(Arc::clone(&name))
        .or_insert_with(|| Group::new(name))
}
