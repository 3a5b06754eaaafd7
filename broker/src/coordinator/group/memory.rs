//! What groups take of memory, and whether there is room for more.
//!
//! Everything that a client can make larger is counted where it is kept; what is constant is
//! estimated from above. Each member and each group is counted with some allowance, so that those
//! which are small can rebalance and commit when there is no room for more of them.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::classic::Group;
use super::join::Join;
use super::member::{Member, Protocol};
use super::turn::Turn;

/// A group, its place in the set, its timer.
const GROUP: usize = 1024;
/// Offsets of each group up to this count as much.
const SOME_OFFSETS: usize = 3072;
/// A member, its place in its group, its waiting requests.
const MEMBER: usize = 1024;
/// What each member says and is assigned counts as much, if it is less.
const SOME_METADATA: usize = 1024;
/// A protocol of a member, besides its name and metadata.
const PROTOCOL: usize = 160;

impl Group {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<_>| text.as_deref().map_or(0, str::len);
        let offsets = self.offsets.bytes() + self.in_doubt.bytes();
        let metadata = self.pending.bytes() + self.members.bytes() + self.subscribed_bytes;
        let names = 2 * self.name.len() + text(&self.protocol_type) + text(&self.protocol);
        GROUP + names + metadata + offsets.max(SOME_OFFSETS)
    }

    /// Whether a join fits in. A member that joins again takes the place of what it said before.
    pub fn has_memory_for(&self, turn: &mut Turn<'_>, join: &Join) -> bool {
        let known = join.instance_id.as_deref();
        let known = known.and_then(|instance_id| self.members.static_id(instance_id));
        let growth = match self.members.get(known.unwrap_or(&join.member_id)) {
            Some(known) => {
                let then = of_member(&join.protocols, known.assignment.len());
                then.saturating_sub(of_member(&known.protocols, known.assignment.len()))
            }
            None => join.names_bytes() + of_member(&join.protocols, 0),
        };
        self.fits(turn, growth)
    }

    /// Whether these shares of the members fit in.
    pub fn has_memory_for_shares(
        &self,
        turn: &mut Turn<'_>,
        shares: &HashMap<Arc<str>, Bytes>,
    ) -> bool {
        let of_all = |share: &dyn Fn(&Member) -> usize| -> usize {
            let each = |member: &Member| of_member(&member.protocols, share(member));
            self.members.iter().map(each).sum()
        };
        let then = of_all(&|member| shares.get(&member.id).map_or(0, Bytes::len));
        let now = of_all(&|member| member.assignment.len());
        self.fits(turn, then.saturating_sub(now))
    }

    /// Whether it may grow by so much.
    pub fn fits(&self, turn: &mut Turn<'_>, growth: usize) -> bool {
        // A new group has to be paid for, too.
        let uncounted = self.bytes().saturating_sub(self.counted);
        let fits = growth + uncounted == 0 || growth + uncounted <= turn.room;
        turn.lacked_room |= !fits;
        fits
    }

    /// Whether offsets of so many bytes fit in.
    pub fn has_memory_for_offsets(&self, turn: &mut Turn<'_>, bytes: usize) -> bool {
        let before = self.offsets.bytes() + self.in_doubt.bytes();
        let growth = (before + bytes).max(SOME_OFFSETS) - before.max(SOME_OFFSETS);
        self.fits(turn, growth)
    }
}

impl Member {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let instance = self.instance_id.as_deref().map_or(0, str::len);
        let names = self.id.len() + self.client_id.len() + self.client_host.len() + 2 * instance;
        names + of_member(&self.protocols, self.assignment.len())
    }
}

impl Join {
    fn names_bytes(&self) -> usize {
        let instance = self.instance_id.as_deref().map_or(0, str::len);
        // The id is made of the client's name or the instance's.
        2 * self.client_id.len() + 3 * instance + self.client_host.len() + 64
    }
}

fn of_member(protocols: &[Protocol], assigned: usize) -> usize {
    let each = |it: &Protocol| PROTOCOL + it.name.len() + it.metadata.len();
    let said: usize = protocols.iter().map(each).sum();
    MEMBER + (said + assigned).max(SOME_METADATA)
}
