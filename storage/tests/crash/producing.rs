//! Checks what a log that was found knows of producers, transactions and leader epochs.
use storage::{Append, EpochEnd, Log, Origin, ProducerInfo};

use crate::check::{Broken, expect, told};
use crate::found::FoundBatch;
use crate::history::NOW;
use crate::random::Random;
use crate::world::{Batch, Partition};

/// Producers of batches that are there must be known; others may be.
pub fn check_producers(log: &Log, known: &Partition) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    // Compaction changes the largest timestamp of a batch that lost the record that had it.
    let shown = |producer: &ProducerInfo| ProducerInfo {
        last_timestamp: match known.cleaned_limit {
            0 => producer.last_timestamp,
            _ => 0,
        },
        ..*producer
    };
    let all = known.producers(0, end);
    let must = known.producers(start, end);
    let found = log.producers();
    for producer in found.iter().map(shown) {
        let expected = all
            .get(&producer.producer_id)
            .map(shown)
            .ok_or(format!("{producer:?} never produced"))?;
        // What lay below the log start offset may be forgotten.
        let is_since = |batch: &Batch| {
            let since = || known.producers(batch.base_offset, end);
            batch.base_offset <= start
                && since().get(&producer.producer_id).map(shown) == Some(producer)
        };
        if producer != expected && !known.batches.iter().any(is_since) {
            expect("producer", &producer, &expected)?;
        }
    }
    for id in must.keys() {
        if !found.iter().any(|producer| producer.producer_id == *id) {
            return Err(format!("producer {id} is forgotten"));
        }
    }
    Ok(())
}

/// The last stable offset and the index of aborted transactions agree with the markers: no reader
/// takes a record for committed that was aborted or is undecided, and none misses a committed one.
pub fn check_transactions(
    log: &Log,
    known: &Partition,
    found: &[FoundBatch],
    random: &mut Random,
) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let all = known.transactions(i64::MIN, end);
    // What lay below the log start offset may be forgotten.
    let since = known.transactions(start, end);
    let [first, last] = [&all, &since].map(|it| it.first_open().unwrap_or(end).max(start));
    let stable = log.last_stable_offset();
    if !(first..=last).contains(&stable) {
        return Err(format!(
            "last stable offset {stable} is not within {first}..={last}"
        ));
    }
    let aborted = log.aborted(start, end);
    if start == 0 && known.cleaned_limit == 0 {
        expect("aborted", &aborted, &all.aborted())?;
    }
    for entry in &aborted {
        // It may seem to begin with an earlier one that compaction took away, marker and all.
        let is_true = all.aborted().iter().any(|it| {
            (it.producer_id, it.last_offset) == (entry.producer_id, entry.last_offset)
                && (it.first_offset <= entry.first_offset || known.cleaned_limit > 0)
        });
        expect(
            "a transaction was aborted",
            &(is_true, entry),
            &(true, entry),
        )?;
    }
    let from = start + random.below((end - start + 1) as usize) as i64;
    let upper = from + random.below((end - from + 1) as usize) as i64;
    for (from, upper) in [(start, end), (from, upper)] {
        let aborted = log.aborted(from, upper);
        for FoundBatch { header, .. } in found {
            if header.base_offset < from || header.base_offset >= upper {
                continue;
            }
            let at = |b: &&Batch| b.base_offset == header.base_offset;
            let expected = known.batches.iter().find(at);
            let expected = expected.is_some_and(|b| b.marker().is_none() && all.is_aborted(b));
            let told = aborted.iter().any(|entry| entry.has(header));
            let what = format!("{}: aborted, in {from}..{upper}", header.base_offset);
            expect(&what, &told, &expected)?;
        }
    }
    Ok(())
}

/// Each leader epoch ends where it did, or where compaction left the next one.
pub fn check_epochs(log: &Log, known: &Partition, found: &[FoundBatch]) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    for expected in known.epoch_ends(end) {
        if expected.end_offset <= start {
            continue;
        }
        let found_end = log.epoch_end(expected.leader_epoch);
        if expected.end_offset <= known.cleaned_limit {
            let EpochEnd {
                leader_epoch,
                end_offset,
            } = found_end.ok_or(format!("nothing known of {expected:?}"))?;
            let newer = |f: &&FoundBatch| f.header.leader_epoch > expected.leader_epoch;
            let next = found.iter().find(newer);
            let next = next.map_or(end, |next| next.header.base_offset);
            let fits = (expected.end_offset..=next).contains(&end_offset);
            if fits && leader_epoch <= expected.leader_epoch {
                continue;
            }
        }
        expect("end of an epoch", &found_end, &Some(expected))?;
    }
    Ok(())
}

/// One of a producer's last five batches, sent again, is known, compacted or not.
pub fn check_duplicate(log: &Log, known: &Partition, random: &mut Random) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let there: Vec<&Batch> = known
        .batches
        .iter()
        .filter(|b| b.base_offset >= start && b.end() <= end)
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let batch = there[random.below(there.len())];
    let Some(produced) = batch.produced.filter(|p| p.marker.is_none()) else {
        return Ok(());
    };
    let later = |b: &&&Batch| {
        b.base_offset > batch.base_offset
            && b.produced
                .is_some_and(|p| p.id == produced.id && p.marker.is_none())
    };
    if there.iter().filter(later).count() >= 5 {
        return Ok(());
    }
    let newer = there
        .iter()
        .filter(later)
        .any(|b| b.produced.unwrap().epoch != produced.epoch);
    let bumped = there.iter().any(|b| {
        b.produced
            .is_some_and(|p| p.id == produced.id && p.epoch != produced.epoch)
    });
    if newer || bumped {
        return Ok(());
    }
    let how = Append {
        origin: Origin::Client,
        leader_epoch: 1000,
        now_ms: NOW,
    };
    let again = told("duplicate", log.append(&batch.bytes, how))?;
    expect(
        "duplicate",
        &(again.duplicate, again.base_offset),
        &(true, batch.base_offset),
    )
}
