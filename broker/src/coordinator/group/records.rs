//! A group as entries of the journal, and back.
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{Group, State};
use super::formats::{self, Committed, GroupMetadata, MemberMetadata};
use super::member::{Member, Protocol};
use super::timers::Now;
use crate::coordinator::Entry;

impl Group {
    /// The group with the assignments that its members have.
    pub fn record(&self) -> Entry {
        self.record_at(self.changed_ms, |member| member.assignment.clone())
    }

    /// The group as it will be when its members have these assignments.
    pub fn record_with(&self, now: Now, share: impl Fn(&str) -> Bytes) -> Entry {
        self.record_at(Some(now.wall_ms), |member| share(&member.id))
    }

    fn record_at(&self, changed_ms: Option<i64>, assignment: impl Fn(&Member) -> Bytes) -> Entry {
        let protocol = self.protocol.as_deref();
        let members = self.members.iter().map(|member| MemberMetadata {
            id: member.id.to_string(),
            instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol.unwrap_or_default()),
            assignment: assignment(member),
        });
        let metadata = GroupMetadata {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default().to_owned(),
            generation: self.generation,
            protocol: protocol.map(str::to_owned),
            leader: self.leader.as_deref().map(str::to_owned),
            changed_ms: changed_ms.unwrap_or(-1),
            members: members.collect(),
        };
        Entry {
            key: formats::group_key(&self.name),
            value: Some(metadata.write()),
        }
    }

    /// The entry that deletes the group.
    pub fn tombstone(&self) -> Entry {
        Entry {
            key: formats::group_key(&self.name),
            value: None,
        }
    }

    /// The entry that sets or deletes a committed offset.
    pub fn offset_entry(&self, topic: &str, partition: i32, value: Option<&Committed>) -> Entry {
        Entry {
            key: formats::offset_key(&self.name, topic, partition),
            value: value.map(Committed::write),
        }
    }

    /// Becomes what the journal says, offsets aside. Members have no deadline yet.
    pub fn load(&mut self, metadata: Option<GroupMetadata>) {
        let offsets = std::mem::take(&mut self.offsets);
        let in_doubt = std::mem::take(&mut self.in_doubt);
        *self = Self::new(Arc::clone(&self.name));
        self.offsets = offsets;
        self.in_doubt = in_doubt;
        let Some(metadata) = metadata else {
            return;
        };
        self.recorded = true;
        self.generation = metadata.generation;
        self.changed_ms = Some(metadata.changed_ms).filter(|at_ms| *at_ms != -1);
        self.protocol_type =
            Some(metadata.protocol_type.into()).filter(|it: &Arc<str>| !it.is_empty());
        self.protocol = metadata.protocol.map(Arc::from);
        self.leader = metadata.leader.map(Arc::from);
        for member in metadata.members {
            self.members.insert(loaded(member, self.protocol.clone()));
        }
        if !self.members.is_empty() {
            self.state = State::Stable;
        }
        self.update_subscribed();
    }

    /// Gives all loaded members their session timeout anew.
    pub fn resume(&mut self, now: Now) {
        let ids: Vec<_> = self.members.iter().map(|it| Arc::clone(&it.id)).collect();
        for id in ids {
            self.keep_alive(now, &id);
        }
    }
}

fn loaded(member: MemberMetadata, protocol: Option<Arc<str>>) -> Member {
    let supported = protocol.map(|name| Protocol {
        name,
        metadata: member.subscription,
    });
    Member {
        id: member.id.into(),
        instance_id: member.instance_id.map(Arc::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        rebalance_timeout_ms: match member.rebalance_timeout_ms {
            -1 => member.session_timeout_ms,
            timeout_ms => timeout_ms,
        },
        session_timeout_ms: member.session_timeout_ms,
        protocols: supported.into_iter().collect(),
        assignment: member.assignment,
        join: None,
        sync: None,
        is_new: false,
        can_return: true,
        owes_sync: false,
        deadline_ms: None,
    }
}
