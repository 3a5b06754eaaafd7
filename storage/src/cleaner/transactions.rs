//! Which transaction markers have nothing left to decide: those of which no batch is left below them
//! (Apache Kafka's `CleanedTransactionMetadata`).
//!
//! A batch that stays without records counts as well: a start that reads it without its marker would
//! take the transaction for open.
use std::collections::HashSet;

use protocol::record::BatchHeader;

/// Transactions in the part of a log that was looked at so far, from its start on.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Ids of the producers of which a batch was met since their last marker.
    with_batches: HashSet<i64>,
    /// Offsets of the abort markers that go.
    pub(super) forgotten: Vec<i64>,
}

impl Transactions {
    /// Notes the next batch that is no marker.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        if header.attributes.is_transactional() {
            self.with_batches.insert(header.producer_id);
        }
    }

    /// Notes the next marker; tells whether there is a batch that it decides.
    pub(super) fn end(&mut self, header: &BatchHeader) -> bool {
        self.with_batches.remove(&header.producer_id)
    }
}
