//! The groups of projections: how far each is in its sources, shown where every lag tool looks. What
//! counts for the projection is its own commit record; this is a copy of it.
//!
//! Clients read these groups and do not change them. Their offsets do not expire, however long
//! nothing happens in a source.
use protocol::error::ErrorCode;

use super::classic::Group;
use super::commit::{Commit, Committer};
use super::groups::Groups;

/// How the names of these groups begin.
pub const PREFIX: &str = "__projection.";

/// Whether the group is a projection's.
pub fn is_projections(group: &str) -> bool {
    group.starts_with(PREFIX)
}

/// Whether clients may change the group.
pub fn check_open(group: &str) -> Result<(), ErrorCode> {
    if is_projections(group) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    Ok(())
}

impl Groups {
    /// Notes how far a projection is: topic, partition, offset of the next record. What is so
    /// already is not written again. Does not wait for the disk; may make the offsets topic.
    pub fn commit_internal(
        &self,
        group: &str,
        offsets: &[(&str, i32, i64)],
    ) -> Result<(), ErrorCode> {
        let anybody = Committer {
            member_id: "",
            instance_id: None,
            generation: -1,
        };
        let committed = self.created(group, |group, turn| {
            let known = |topic, partition| group.offsets.get(topic, partition);
            let moved = offsets.iter().filter(|(topic, partition, offset)| {
                known(topic, *partition).is_none_or(|known| known.offset != *offset)
            });
            let commits = moved.map(|(topic, partition, offset)| Commit {
                topic: (*topic).into(),
                partition: *partition,
                offset: *offset,
                leader_epoch: -1,
                metadata: String::new(),
            });
            let commits = commits.collect();
            group.commit(turn, anybody, commits, None)
        });
        let (result, _) = committed?;
        result
    }

    /// Deletes the group of a projection that is no more. Does not wait for the disk.
    pub fn delete_internal(&self, group: &str) -> Result<(), ErrorCode> {
        let deleted = self.existing(group, Group::delete);
        deleted.map_or(Ok(()), |(result, _)| result)
    }
}

#[cfg(test)]
#[path = "projections_test.rs"]
mod tests;
