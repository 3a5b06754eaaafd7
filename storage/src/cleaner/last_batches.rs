//! The batches that stay when all their records go, since they tell what a producer sent last.
//!
//! Those of the part that is cleaned count, not what the producers sent since: that may be lost with
//! the power, and then the log has to tell what came before it.
use std::collections::{HashMap, VecDeque};

use protocol::record::BatchHeader;

use crate::producer_state::REMEMBERED;

/// The last batches of each producer in a part of a log.
#[derive(Debug, Default)]
pub(super) struct LastBatches {
    of_producer: HashMap<i64, Last>,
}

/// What one producer wrote last.
#[derive(Debug, Default)]
struct Last {
    epoch: i16,
    /// Last offsets of the batches that it may send again: at most [`REMEMBERED`], of its epoch.
    batches: VecDeque<i64>,
    /// Last offset of the newest marker of its epoch.
    marker: Option<i64>,
}

impl LastBatches {
    /// Notes the next batch.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        if header.producer_id < 0 {
            return;
        }
        let last = self.of_producer.entry(header.producer_id).or_default();
        if last.epoch != header.producer_epoch {
            *last = Last {
                epoch: header.producer_epoch,
                ..Last::default()
            };
        }
        if header.attributes.is_control() {
            last.marker = Some(header.last_offset());
        } else if header.base_sequence >= 0 {
            if last.batches.len() == REMEMBERED {
                last.batches.pop_front();
            }
            last.batches.push_back(header.last_offset());
        }
    }

    /// Forgets producers that are not among `known`.
    pub(super) fn retain(&mut self, known: impl Fn(i64) -> bool) {
        self.of_producer.retain(|&id, _| known(id));
    }

    /// Whether a batch is one of them. A marker is only where nothing else has the epoch.
    pub(super) fn have(&self, header: &BatchHeader) -> bool {
        let Some(last) = self.of_producer.get(&header.producer_id) else {
            return false;
        };
        let at = header.last_offset();
        if header.attributes.is_control() {
            last.batches.is_empty() && last.marker == Some(at)
        } else {
            last.batches.contains(&at)
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use super::*;

    fn batch(epoch: i16, sequence: i32, at: i64) -> BatchHeader {
        let mut batch = BatchBuilder::new().producer(7, epoch, sequence);
        if sequence < 0 {
            batch = batch.transactional().control();
        }
        batch.push(0, Some(b"k"), None);
        let mut header = BatchHeader::parse(&batch.build()).expect("a batch");
        header.base_offset = at;
        header
    }

    #[test]
    fn the_last_five_of_an_epoch_stay_or_else_its_marker() {
        let mut last = LastBatches::default();
        let sent: Vec<_> = (0..7).map(|i| batch(0, i, i64::from(i))).collect();
        for header in &sent {
            last.note(header);
        }
        last.note(&batch(0, -1, 7));
        let kept: Vec<_> = sent.iter().map(|header| last.have(header)).collect();
        assert_eq!(kept, [false, false, true, true, true, true, true]);
        assert!(!last.have(&batch(0, -1, 7)));
        last.note(&batch(1, -1, 8));
        last.note(&batch(1, -1, 9));
        assert!(!sent.iter().any(|header| last.have(header)));
        assert!(last.have(&batch(1, -1, 9)) && !last.have(&batch(1, -1, 8)));
        last.note(&batch(1, 0, 10));
        assert!(last.have(&batch(1, 0, 10)) && !last.have(&batch(1, -1, 9)));
        last.retain(|id| id != 7);
        assert!(!last.have(&batch(1, 0, 10)));
    }
}
