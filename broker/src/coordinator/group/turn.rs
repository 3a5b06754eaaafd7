//! What a group works with while it holds its mutex.
use protocol::error::ErrorCode;
use storage::AppendError;

use super::Limits;
use super::timers::Now;
use crate::coordinator::{Entry, Journal};

/// Where entries go.
pub trait Append {
    /// Appends all or nothing; returns the offset of the last entry. Does not wait.
    fn append(&self, entries: &[Entry]) -> Result<i64, AppendError>;

    /// As [`Append::append`], as part of the transaction of a producer with this id and epoch.
    fn append_in_transaction(
        &self,
        entries: &[Entry],
        producer: (i64, i16),
    ) -> Result<i64, AppendError>;
}

impl Append for Journal {
    fn append(&self, entries: &[Entry]) -> Result<i64, AppendError> {
        Journal::append(self, entries)
    }

    fn append_in_transaction(
        &self,
        entries: &[Entry],
        producer: (i64, i16),
    ) -> Result<i64, AppendError> {
        Journal::append_in_transaction(self, entries, producer.0, producer.1)
    }
}

/// What a method of a group works with, from the moment the mutex is taken to its release.
pub struct Turn<'a> {
    /// The moment.
    pub now: Now,
    /// The settings.
    pub limits: &'a Limits,
    /// The group's journal.
    pub journal: &'a dyn Append,
    /// Offset of the last entry that was appended in this turn.
    pub appended: Option<i64>,
    /// Bytes that the group may grow by.
    pub room: usize,
    /// Something was refused because it needs more.
    pub lacked_room: bool,
}

impl Turn<'_> {
    /// Appends; on an error nothing was written and nothing may be applied. Returns the offset of
    /// the first entry.
    pub fn append(&mut self, entries: &[Entry]) -> Result<i64, ErrorCode> {
        self.appended(self.journal.append(entries), entries.len())
    }

    /// As [`Turn::append`], as part of the transaction of a producer with this id and epoch.
    pub fn append_in_transaction(
        &mut self,
        entries: &[Entry],
        producer: (i64, i16),
    ) -> Result<i64, ErrorCode> {
        let last = self.journal.append_in_transaction(entries, producer);
        self.appended(last, entries.len())
    }

    fn appended(&mut self, last: Result<i64, AppendError>, count: usize) -> Result<i64, ErrorCode> {
        let last = last.map_err(|error| {
            tracing::error!(%error, "cannot write to the journal of groups");
            append_error(&error)
        })?;
        self.appended = Some(last);
        Ok(last + 1 - count as i64)
    }
}

/// What a client is told when the journal fails (Kafka's `appendGroupMetadataErrorToResponseError`).
pub fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Closed => ErrorCode::CoordinatorNotAvailable,
        AppendError::Full(_) | AppendError::Poisoned | AppendError::Storage(_) => {
            ErrorCode::NotCoordinator
        }
        _ => ErrorCode::UnknownServerError,
    }
}
