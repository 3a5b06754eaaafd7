//! Which batches belong to aborted transactions: their records go, and outdate nothing.
//!
//! The markers in the dirty part tell. That is all there is to know: no transaction that is open
//! reaches below the cleanable end, and what was aborted below the dirty part went in earlier passes.
use std::collections::HashMap;

use protocol::record::{BatchHeader, RecordError, verify};

use crate::marker::Marker;

/// The first offset of an aborted transaction, and the offset of its marker.
type Span = (i64, i64);

/// Aborted transactions of the batches that were noted.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// First offset of the transaction of a producer that no marker has ended yet.
    open: HashMap<i64, i64>,
    /// By producer, rising.
    spans: HashMap<i64, Vec<Span>>,
}

impl Aborted {
    /// Notes a whole batch that comes after all before. A marker that is damaged is an error: it
    /// decides over records.
    pub(super) fn note(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), RecordError> {
        let (producer_id, offset) = (header.producer_id, header.base_offset);
        if header.attributes.is_control() {
            verify(batch)?;
            if let Some(marker) = Marker::read(header, batch)
                && let Some(first) = self.open.remove(&producer_id)
                && !marker.commits
            {
                let spans = self.spans.entry(producer_id).or_default();
                spans.push((first, offset));
            }
        } else if header.attributes.is_transactional() {
            self.open.entry(producer_id).or_insert(offset);
        }
        Ok(())
    }

    /// Whether a batch is of an aborted transaction.
    pub(super) fn has(&self, header: &BatchHeader) -> bool {
        let offset = header.base_offset;
        let is_data = header.attributes.is_transactional() && !header.attributes.is_control();
        is_data
            && self.spans.get(&header.producer_id).is_some_and(|spans| {
                let next = spans.partition_point(|&(_, marker)| marker < offset);
                spans.get(next).is_some_and(|&(first, _)| first <= offset)
            })
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use super::*;

    fn batch(producer: i64, offset: i64, marker: Option<u8>) -> (BatchHeader, Vec<u8>) {
        let mut builder = BatchBuilder::new()
            .base_offset(offset)
            .producer(producer, 0, 0)
            .transactional();
        match marker {
            Some(kind) => {
                builder = builder.control();
                builder.push(0, Some(&[0, 0, 0, kind]), Some(&[0; 6]));
            }
            None => builder.push(0, Some(b"k"), Some(b"v")),
        }
        let bytes = builder.build().to_vec();
        (verify(&bytes).unwrap(), bytes)
    }

    #[test]
    fn markers_tell_which_batches_were_aborted() {
        let (abort, commit) = (Some(0), Some(1));
        let log = [
            (1, None, true),
            (2, None, false),
            (1, None, true),
            (1, abort, false),
            (1, None, false),
            (2, commit, false),
            (1, commit, false),
            (2, None, true),
            (1, None, false),
            (2, abort, false),
            (2, None, false),
        ];
        let mut aborted = Aborted::default();
        let batches: Vec<_> = (0..)
            .zip(log)
            .map(|(offset, (producer, marker, _))| batch(producer, offset, marker))
            .collect();
        for (header, bytes) in &batches {
            aborted.note(header, bytes).unwrap();
        }
        for ((header, _), (_, _, expected)) in batches.iter().zip(log) {
            assert_eq!(aborted.has(header), expected, "{}", header.base_offset);
        }
    }

    #[test]
    fn a_damaged_marker_is_an_error() {
        let (header, mut bytes) = batch(1, 0, Some(0));
        *bytes.last_mut().unwrap() ^= 1;
        assert!(Aborted::default().note(&header, &bytes).is_err());
    }
}
