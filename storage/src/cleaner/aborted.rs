//! Which batches belong to aborted transactions: their records go, and outdate nothing.
//!
//! The log's own index tells, not the markers in the part that is cleaned: the marker of what was
//! aborted there may lie after it. No transaction that is open reaches below the cleanable end, so
//! what the index does not name there is committed.
use std::collections::HashMap;

use protocol::record::BatchHeader;

use crate::Aborted as Transaction;

/// Aborted transactions of a log, by producer, in the order of their markers.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    of_producer: HashMap<i64, Vec<Transaction>>,
}

impl Aborted {
    /// Those of `transactions`, which are in the order of their markers.
    pub(super) fn of(transactions: Vec<Transaction>) -> Self {
        let mut aborted = Self::default();
        for transaction in transactions {
            let of_producer = aborted.of_producer.entry(transaction.producer_id);
            of_producer.or_default().push(transaction);
        }
        aborted
    }

    /// Whether a batch is of an aborted transaction.
    pub(super) fn has(&self, header: &BatchHeader) -> bool {
        let Some(transactions) = self.of_producer.get(&header.producer_id) else {
            return false;
        };
        let next = transactions.partition_point(|it| it.last_offset < header.base_offset);
        transactions.get(next).is_some_and(|it| it.has(header))
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use super::*;

    #[test]
    fn a_batch_is_judged_by_the_next_marker_of_its_producer() {
        let transaction = |producer_id, first_offset, last_offset| Transaction {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: last_offset + 1,
        };
        let aborted = Aborted::of(vec![
            transaction(1, 2, 5),
            transaction(2, 4, 8),
            transaction(1, 20, 25),
        ]);
        let has = |producer, offset| {
            let mut batch = BatchBuilder::new().producer(producer, 0, 0).transactional();
            batch = batch.base_offset(offset);
            batch.push(0, Some(b"k"), None);
            aborted.has(&BatchHeader::parse(&batch.build()).expect("a batch"))
        };
        for (producer, offset, expected) in [
            (1, 1, false),
            (1, 2, true),
            (1, 4, true),
            (1, 6, false),
            (1, 19, false),
            (1, 24, true),
            (1, 26, false),
            (2, 3, false),
            (2, 7, true),
            (3, 4, false),
        ] {
            assert_eq!(has(producer, offset), expected, "{producer} at {offset}");
        }
    }
}
