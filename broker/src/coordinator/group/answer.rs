//! Waiting for an answer: for the group to decide it, and for the disk to have what it says.
use std::sync::Arc;

use protocol::error::ErrorCode;
use tokio::sync::oneshot;

use super::groups::Groups;
use super::member::Decided;
use super::turn::append_error;
use crate::coordinator::Journal;

/// Holds a decided answer back until its record is durable, whatever `flush` says: that is about the
/// records of clients.
pub async fn release<T>(journal: &Journal, decided: Decided<T>) -> Result<T, ErrorCode> {
    if let Some(offset) = decided.after {
        let durable = journal.durable(offset).await;
        durable.map_err(|error| append_error(&error))?;
    }
    Ok(decided.answer)
}

/// Waits for the group to decide. A request that another of the same member replaced is never
/// answered by the group.
pub async fn decided<T>(
    journal: &Journal,
    reply: oneshot::Receiver<Decided<T>>,
) -> Result<T, ErrorCode> {
    match reply.await {
        Ok(decided) => release(journal, decided).await,
        Err(_) => Err(ErrorCode::RebalanceInProgress),
    }
}

/// Tells the group when the connection of a waiting JoinGroup ends: the request is dropped then, and
/// this with it.
pub struct Parked<'a> {
    groups: &'a Groups,
    group: Arc<str>,
    ticket: u64,
    answered: bool,
}

impl<'a> Parked<'a> {
    /// Watches over a request.
    pub fn new(groups: &'a Groups, group: Arc<str>, ticket: u64) -> Self {
        Self {
            groups,
            group,
            ticket,
            answered: false,
        }
    }

    /// The answer is there.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.groups.abandon_join(&self.group, self.ticket);
        }
    }
}
