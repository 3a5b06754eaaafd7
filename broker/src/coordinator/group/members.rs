//! The members of a group, with the counts that a rebalance asks for all the time.
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;

use super::member::{Decided, JoinAnswer, Member, Protocol, Waiting};

/// The members of a group.
#[derive(Debug, Default)]
pub struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    /// Instance id to member id.
    statics: HashMap<Arc<str>, Arc<str>>,
    /// How many members support a protocol.
    supported: HashMap<Arc<str>, usize>,
    /// How many members have a JoinGroup waiting.
    joining: usize,
    /// Memory that they take.
    bytes: usize,
}

impl Members {
    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// For everything but protocols, assignments and waiting joins, which are counted.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    /// All members in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// As [`Self::get_mut`], for all.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.by_id.values_mut()
    }

    /// How many members have a JoinGroup waiting.
    pub fn joining(&self) -> usize {
        self.joining
    }

    /// The member id behind an instance id.
    pub fn static_id(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.statics.get(instance_id)
    }

    /// Whether the ids of a request name a member that may speak.
    pub fn check(&self, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_id(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if **known != *id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.contains(id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Adds a member; its id and its instance id are not there yet.
    pub fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.statics
                .insert(Arc::clone(instance_id), Arc::clone(&member.id));
        }
        self.count(&member.protocols);
        self.joining += usize::from(member.join.is_some());
        self.bytes += member.bytes();
        self.by_id.insert(Arc::clone(&member.id), member);
    }

    /// Takes a member out, with whatever waits in it.
    pub fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        self.uncount(&member.protocols);
        self.joining -= usize::from(member.join.is_some());
        self.bytes -= member.bytes();
        if let Some(instance_id) = &member.instance_id {
            self.statics.remove(instance_id);
        }
        if self.is_empty() {
            // The room of many is not kept for none.
            *self = Self::default();
        }
        Some(member)
    }

    /// Replaces what a member supports.
    pub fn set_protocols(&mut self, id: &str, protocols: Vec<Protocol>) {
        let Some(mut member) = self.by_id.remove(id) else {
            return;
        };
        self.bytes -= member.bytes();
        self.uncount(&member.protocols);
        self.count(&protocols);
        member.protocols = protocols;
        self.bytes += member.bytes();
        self.by_id.insert(Arc::clone(&member.id), member);
    }

    /// Gives each member its share.
    pub fn assign(&mut self, share: impl Fn(&str) -> Bytes) {
        self.bytes = 0;
        for member in self.by_id.values_mut() {
            member.assignment = share(&member.id);
            self.bytes += member.bytes();
        }
    }

    /// Lets a member wait for its join. An older join of the same member is given up: its client
    /// sent another.
    pub fn set_waiting(&mut self, id: &str, waiting: Waiting) {
        if let Some(member) = self.by_id.get_mut(id) {
            self.joining += usize::from(member.join.is_none());
            member.join = Some(waiting);
        }
    }

    /// Answers the waiting join of a member, if it has one.
    pub fn answer_join(&mut self, id: &str, answer: JoinAnswer, after: Option<i64>) {
        let member = self.by_id.get_mut(id);
        if let Some(waiting) = member.and_then(|member| member.join.take()) {
            self.joining -= 1;
            let _ = waiting.reply.send(Decided { answer, after });
        }
    }

    /// The member whose waiting join has this number.
    pub fn by_ticket(&self, ticket: u64) -> Option<&Member> {
        let waits = |waiting: &Waiting| waiting.ticket == ticket;
        self.iter()
            .find(|member| member.join.as_ref().is_some_and(waits))
    }

    /// A member that has joined again and could lead; one whose client is still there if possible.
    pub fn candidate(&self) -> Option<&Member> {
        let is_there = |member: &&Member| {
            let join = member.join.as_ref();
            join.is_some_and(|waiting| !waiting.reply.is_closed())
        };
        self.iter()
            .find(is_there)
            .or_else(|| self.iter().find(|member| member.join.is_some()))
    }

    /// Whether all members support one of these.
    pub fn support(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.by_all(&protocol.name))
    }

    /// The protocol with the most votes; each member votes for its best that all support.
    pub fn vote(&self) -> Option<Arc<str>> {
        let mut votes: HashMap<&Arc<str>, usize> = HashMap::new();
        for member in self.iter() {
            let best = member.protocols.iter().find(|it| self.by_all(&it.name));
            if let Some(best) = best {
                *votes.entry(&best.name).or_default() += 1;
            }
        }
        let winner = votes
            .into_iter()
            .max_by_key(|vote| (vote.1, Reverse(vote.0)));
        winner.map(|(name, _)| Arc::clone(name))
    }

    /// The longest that a rebalance waits.
    pub fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self.iter().map(|member| member.rebalance_timeout_ms).max();
        longest.map_or(0, |timeout| timeout.max(0) as u64)
    }

    fn by_all(&self, protocol: &str) -> bool {
        self.supported.get(protocol) == Some(&self.by_id.len())
    }

    fn count(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            let name = Arc::clone(&protocol.name);
            *self.supported.entry(name).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }
}
