//! Checks the records of a log that was found, and that they are found by offset and by time.
use std::collections::HashMap;

use protocol::record::verify;
use storage::Log;

use crate::check::{Broken, expect, told};
use crate::found::{FoundBatch, FoundRecord};
use crate::random::Random;
use crate::world::{Batch, Partition};

/// Every record of a log with this start and end is there that compaction may not have removed, and
/// nothing else.
pub fn check_records(
    found: &[FoundBatch],
    known: &Partition,
    (start, end): (i64, i64),
) -> Result<(), Broken> {
    let mut rest = found.iter().peekable();
    let mut by_key = ByKey::default();
    let transactions = known.transactions(i64::MIN, end);
    let within = |b: &&Batch| b.end() > start && b.end() <= end;
    for batch in known.batches.iter().filter(within) {
        let there = rest.next_if(|found| found.header.base_offset == batch.base_offset);
        if let Some(found) = there {
            check_header(found, batch)?;
        }
        let mut records = there
            .map_or(&[][..], |found| &found.records)
            .iter()
            .peekable();
        for (record, offset) in batch.records.iter().zip(batch.base_offset..) {
            let found = records.next_if(|found| found.offset == offset);
            if let Some(found) = found {
                let expected = FoundRecord {
                    offset,
                    timestamp: record.timestamp,
                    key: record.key.clone(),
                    value: record.value.clone(),
                };
                expect("record", found, &expected)?;
            } else if offset >= start && !record.may_go {
                return Err(format!("no record at {offset}, {record:?}"));
            }
            if offset >= start && batch.marker().is_none() && !transactions.is_aborted(batch) {
                by_key.note(&record.key, offset, found.is_some());
            }
        }
        if let Some(extra) = records.next() {
            return Err(format!("a record too many: {extra:?}"));
        }
    }
    if let Some(extra) = rest.next() {
        return Err(format!("a batch too many: {extra:?}"));
    }
    by_key.check()?;
    check_markers(found, known, (start, end))
}

/// What was found of each key: the last record that is there, and the last one that is gone.
#[derive(Debug, Default)]
struct ByKey(HashMap<bytes::Bytes, [Option<i64>; 2]>);

impl ByKey {
    fn note(&mut self, key: &bytes::Bytes, offset: i64, is_there: bool) {
        self.0.entry(key.clone()).or_default()[usize::from(is_there)] = Some(offset);
    }

    /// A record outlives none that came after it.
    fn check(&self) -> Result<(), Broken> {
        for (key, [gone, there]) in &self.0 {
            if there.is_some() && gone > there {
                return Err(format!(
                    "{key:?} is at {there:?} again, outdated by what was at {gone:?}"
                ));
            }
        }
        Ok(())
    }
}

fn check_header(found: &FoundBatch, batch: &Batch) -> Result<(), Broken> {
    let header = &found.header;
    expect("last offset", &(header.last_offset() + 1), &batch.end())?;
    expect("leader epoch", &header.leader_epoch, &batch.leader_epoch)?;
    let produced = batch.produced.map_or((-1, -1, -1, false), |p| {
        (p.id, p.epoch, p.base_sequence, p.transactional)
    });
    let (id, epoch) = (header.producer_id, header.producer_epoch);
    let is_transactional = header.attributes.is_transactional();
    let found = (id, epoch, header.base_sequence, is_transactional);
    expect("producer of a batch", &found, &produced)
}

/// A marker stays as long as a record of its transaction does.
fn check_markers(
    found: &[FoundBatch],
    known: &Partition,
    (start, end): (i64, i64),
) -> Result<(), Broken> {
    let there = |batch: &&Batch| {
        let at = found.binary_search_by_key(&batch.base_offset, |f| f.header.base_offset);
        at.is_ok_and(|at| !found[at].records.is_empty())
    };
    let transactions = known.transactions(i64::MIN, end);
    for batch in known.batches.iter().filter(there) {
        if let Some(transaction) = transactions.ended_of(batch)
            && batch.base_offset >= start
        {
            let marker = transaction.last_offset;
            if found
                .binary_search_by_key(&marker, |f| f.header.base_offset)
                .is_err()
            {
                return Err(format!("no marker at {marker} for the batch at {batch:?}"));
            }
        }
    }
    Ok(())
}

/// Look-ups by offset and by time find what a look through all of it finds.
pub fn check_look_ups(
    log: &Log,
    known: &Partition,
    found: &[FoundBatch],
    random: &mut Random,
) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let records = found.iter().flat_map(|batch| &batch.records);
    let all: Vec<(i64, i64)> = records
        .map(|record| (record.offset, record.timestamp))
        .filter(|(offset, _)| *offset >= start)
        .collect();
    for _ in 0..all.len().min(4) {
        let (offset, timestamp) = all[random.below(all.len())];
        let read = told("read one", log.read(offset, end, 1, true))?.records;
        let header = told("batch", verify(&read))?;
        let holds = (header.base_offset..=header.last_offset()).contains(&offset);
        expect("a read finds its offset", &holds, &true)?;
        let first = all.iter().find(|(_, t)| *t >= timestamp);
        let found = told("time", log.offset_for_timestamp(timestamp, end))?;
        expect(
            "by time",
            &found.map(|f| (f.offset, f.timestamp)),
            &first.copied(),
        )?;
    }
    // A batch tells its largest timestamp also when that record was deleted.
    if known
        .batches
        .iter()
        .any(|b| b.base_offset < start && b.end() > start)
    {
        return Ok(());
    }
    let newest = all.iter().map(|(_, timestamp)| *timestamp).max();
    let found = told("max timestamp", log.max_timestamp())?;
    expect("newest", &found.map(|f| f.timestamp), &newest)
}
