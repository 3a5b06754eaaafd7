//! What handlers ask of the groups. Each takes effect before its first await.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::error::ErrorCode;
use tokio::sync::oneshot;

use super::answer::{Parked, decided, release};
use super::classic::{Group, State};
use super::commit::{Commit, Committer};
use super::describe::{Described, Listed, Position};
use super::groups::Groups;
use super::join::Join;
use super::leave::Leaver;
use super::member::{Decided, JoinAnswer, Joined, Refused, Synced, Waiting};
use super::projections::check_open;
use super::sync::Sync;
use super::turn::Turn;
use crate::coordinator::Journal;

/// A JoinGroup under way: its number, where its answer comes from, the group's journal.
type Begun = (u64, oneshot::Receiver<Decided<JoinAnswer>>, Journal);

impl Groups {
    /// JoinGroup: waits until the join phase ends.
    pub async fn join(&self, group: &str, join: Join) -> Result<Joined, Refused> {
        let member_id = Arc::clone(&join.member_id);
        let refuse = |error| Refused { error, member_id };
        let (ticket, receiver, journal) = match self.begin_join(group, join) {
            Ok(begun) => begun,
            Err(error) => return Err(refuse(error)),
        };
        let parked = Parked::new(self, group.into(), ticket);
        let decided = decided(&journal, receiver).await;
        parked.answered();
        decided.unwrap_or_else(|error| Err(refuse(error)))
    }

    fn begin_join(&self, group: &str, join: Join) -> Result<Begun, ErrorCode> {
        check_open(group)?;
        self.check_running()?;
        let settings = &self.settings;
        let shortest_ms = settings.group_min_session_timeout_ms;
        let longest_ms = settings.group_max_session_timeout_ms;
        if !(shortest_ms..=longest_ms).contains(&join.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting { ticket, reply };
        let ((), journal) = if join.member_id.is_empty() {
            self.created(group, |group, turn| group.join(turn, join, waiting))?
        } else {
            self.existing(group, |group, turn| group.join(turn, join, waiting))
                .ok_or(ErrorCode::UnknownMemberId)?
        };
        // The stop may have come and gone through the groups in between.
        self.check_running()?;
        Ok((ticket, receiver, journal))
    }

    /// The connection of a waiting JoinGroup ended.
    pub fn abandon_join(&self, group: &str, ticket: u64) {
        self.existing(group, |group, turn| group.abandon_join(turn, ticket));
    }

    /// SyncGroup: waits until the assignment is there.
    pub async fn sync(&self, group: &str, sync: Sync) -> Result<Synced, ErrorCode> {
        check_open(group)?;
        self.check_running()?;
        let (reply, receiver) = oneshot::channel();
        let begun = self.existing(group, |group, turn| group.sync(turn, &sync, reply));
        let ((), journal) = begun.ok_or(ErrorCode::UnknownMemberId)?;
        self.check_running()?;
        // The wait does not need it.
        drop(sync);
        decided(&journal, receiver).await?
    }

    /// Heartbeat.
    pub fn heartbeat(
        &self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        check_open(group)?;
        let beaten = self.existing(group, |group, turn| {
            group.heartbeat(turn, member_id, instance_id, generation)
        });
        beaten.map_or(Err(ErrorCode::UnknownMemberId), |(result, _)| result)
    }

    /// LeaveGroup: one result for each leaver.
    pub async fn leave(
        &self,
        group: &str,
        leavers: &[Leaver],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        check_open(group)?;
        let left = self.existing(group, |group, turn| Decided {
            answer: group.leave(turn, leavers),
            after: turn.appended,
        });
        match left {
            Some((decided, journal)) => release(&journal, decided).await,
            None => Ok(vec![Err(ErrorCode::UnknownMemberId); leavers.len()]),
        }
    }

    /// OffsetCommit. A group that is not there is made for a consumer that is in none; `unknown` is
    /// what any other is told.
    pub async fn commit(
        &self,
        group: &str,
        who: Committer<'_>,
        commits: Vec<Commit>,
        retention_ms: Option<i64>,
        unknown: ErrorCode,
    ) -> Result<(), ErrorCode> {
        check_open(group)?;
        let act = |group: &mut Group, turn: &mut Turn<'_>| {
            let answer = group.commit(turn, who, commits, retention_ms);
            let after = turn.appended;
            Decided { answer, after }
        };
        let (decided, journal) = if who.generation < 0 {
            self.created(group, act)?
        } else {
            self.existing(group, act).ok_or(unknown)?
        };
        release(&journal, decided).await?
    }

    /// OffsetFetch of everything that was committed, by topic.
    pub fn positions(&self, group: &str) -> Vec<(Arc<str>, Vec<Position>)> {
        let place = self.find(group);
        place.map_or_else(Vec::new, |place| place.lock().positions())
    }

    /// OffsetFetch of these partitions; offset -1 where nothing was committed.
    pub fn positions_of(&self, group: &str, topic: &str, partitions: &[i32]) -> Vec<Position> {
        match self.find(group) {
            Some(place) => place.lock().positions_of(topic, partitions),
            None => partitions.iter().map(|it| Position::none(*it)).collect(),
        }
    }

    /// OffsetDelete: one result for each partition.
    pub async fn delete_offsets(
        &self,
        group: &str,
        places: &[(Arc<str>, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        check_open(group)?;
        let deleted = self.existing(group, |group, turn| Decided {
            answer: group.delete_offsets(turn, places),
            after: turn.appended,
        });
        let (decided, journal) = deleted.ok_or(ErrorCode::GroupIdNotFound)?;
        release(&journal, decided).await?
    }

    /// DeleteGroups, for one group.
    pub async fn delete(&self, group: &str) -> Result<(), ErrorCode> {
        check_open(group)?;
        let deleted = self.existing(group, |group, turn| Decided {
            answer: group.delete(turn),
            after: turn.appended,
        });
        let (decided, journal) = deleted.ok_or(ErrorCode::GroupIdNotFound)?;
        release(&journal, decided).await?
    }

    /// ListGroups.
    pub fn list(&self) -> Vec<Listed> {
        let listed = self.all();
        let listed = listed.iter().map(|place| place.lock().listed());
        listed.filter(|group| group.state != State::Dead).collect()
    }

    /// DescribeGroups, for one group.
    pub fn describe(&self, group: &str) -> Option<Described> {
        let described = self.find(group)?.lock().described();
        Some(described).filter(|group| group.state != State::Dead)
    }
}
