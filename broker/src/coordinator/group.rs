//! The group coordinator: who is in which group, who consumes what, and how far they are.
//!
//! `groups` is the set, `requests` the way in; each group (`classic`) stands behind its own mutex.
//! `join`, `statics`, `sync`, `leave` and `commit` are what requests do to it, `rebalance` is what
//! that sets off, `records` is how it goes into `__consumer_offsets` and comes back, in the
//! `formats` of Apache Kafka. `in_doubt` are offsets that were committed in a transaction which is
//! still open. `memory` counts what all of them take. `projections` keeps clients out of the groups of
//! projections.
mod answer;
mod classic;
mod commit;
mod describe;
mod formats;
mod groups;
mod in_doubt;
mod join;
mod leave;
mod load;
mod member;
mod members;
mod memory;
mod offsets;
mod pending;
mod projections;
mod rebalance;
mod records;
mod requests;
mod statics;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

pub use classic::State;
pub use commit::{Commit, Committer};
pub use describe::{Described, Position};
pub use groups::Groups;
pub use join::{Join, distinct};
pub use leave::Leaver;
pub use member::{Joined, Protocol, Refused};
pub use sync::Sync;
pub use turn::append_error;

use config::Settings;

/// Name of the topic that groups are kept in.
pub const TOPIC: &str = "__consumer_offsets";

/// What the settings allow.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a group that was empty waits for more members.
    pub initial_delay_ms: u64,
    /// Members that a group may have.
    pub max_size: usize,
    /// How long offsets of a group without members are kept.
    pub offsets_retention_ms: i64,
    /// Memory that all groups may take.
    pub memory_max_bytes: usize,
}

impl Limits {
    /// From the settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            initial_delay_ms: settings.group_initial_rebalance_delay_ms.max(0) as u64,
            max_size: settings.group_max_size.max(1) as usize,
            offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
            memory_max_bytes: usize::try_from(settings.groups_memory_max_bytes)
                .unwrap_or(usize::MAX),
        }
    }
}
