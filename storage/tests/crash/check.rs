//! Opens what a crash left and compares it with what was promised.
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use protocol::record::{BatchHeader, HEADER_LEN, records, verify};
use storage::disk::RealDisk;
use storage::{Append, Log, Logs, Origin};

use crate::history::{NOW, config, options};
use crate::random::Random;
use crate::world::{Batch, Key, Partition, Presence, World};

/// Why a recovered state breaks a promise.
pub type Broken = String;

fn expect<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

fn told<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, Broken> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

/// Opens the files in `dir` and checks them against `world`.
pub fn check(dir: &Path, world: &World, random: &mut Random) -> Result<(), Broken> {
    let mut config = config(random);
    config.segment_bytes = 1 << 16;
    let open = || Logs::open_by_hand(Arc::new(RealDisk), options(dir), &config);
    let (logs, recovery) = told("open", open())?;
    if world.closed {
        expect("clean", &recovery.clean, &true)?;
    }
    if recovery.clean {
        expect("cut after a clean shutdown", &recovery.truncated_bytes, &0)?;
    }
    let mut found: Vec<(Key, Arc<Log>)> = Vec::new();
    for partition in &recovery.partitions {
        let key = (partition.topic.clone(), partition.partition);
        let known = world
            .partitions
            .get(&key)
            .ok_or(format!("{key:?} was never made"))?;
        match known.presence {
            Presence::Absent => return Err(format!("{key:?} was deleted and is back")),
            Presence::Unsettled => {}
            Presence::Present => expect("topic id", &partition.topic_id, &known.topic_id)?,
        }
        let checked = check_log(&partition.log, known, random);
        checked.map_err(|broken| format!("{key:?}: {broken}"))?;
        found.push((key, Arc::clone(&partition.log)));
    }
    for key in world.present() {
        if !found.iter().any(|(found, _)| *found == key) {
            return Err(format!("{key:?} is gone"));
        }
    }
    if random.one_in(4) {
        go_on(logs, &found, world, random, &open)?;
    }
    Ok(())
}

/// What recovery left must be fit for more, and a clean restart must change nothing.
fn go_on(
    logs: Logs,
    found: &[(Key, Arc<Log>)],
    world: &World,
    random: &mut Random,
    open: &dyn Fn() -> Result<(Logs, storage::Recovery), storage::OpenError>,
) -> Result<(), Broken> {
    let mut ends = Vec::new();
    for (key, log) in found {
        let known = &world.partitions[key];
        let end = log.end_offset();
        check_duplicate(log, known, random)?;
        let mut builder = protocol::record::BatchBuilder::new();
        builder.push(NOW, Some(b"key"), Some(b"after the crash"));
        let how = Append {
            origin: Origin::Client,
            leader_epoch: 1000,
            now_ms: NOW,
        };
        let appended = told("append", log.append(&builder.build(), how))?;
        expect("offset of the next append", &appended.base_offset, &end)?;
        ends.push((key.clone(), log.start_offset(), end + 1, log.producers()));
    }
    told("close", logs.close())?;
    drop(logs);
    let (logs, recovery) = told("open again", open())?;
    expect("clean", &recovery.clean, &true)?;
    let again = recovery.partitions.iter().map(|p| {
        let key = (p.topic.clone(), p.partition);
        let (start, end) = (p.log.start_offset(), p.log.end_offset());
        (key, start, end, p.log.producers())
    });
    expect("after a clean restart", &again.collect(), &ends)?;
    for partition in &recovery.partitions {
        let known = &world.partitions[&(partition.topic.clone(), partition.partition)];
        let end = partition.log.end_offset() - 1;
        check_records(&partition.log, known, end)?;
    }
    drop(logs);
    Ok(())
}

fn check_log(log: &Log, known: &Partition, random: &mut Random) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let last = known.batches.last().map_or(0, Batch::end);
    if start < known.start || start > known.start_limit.max(known.start) {
        let (from, to) = (known.start, known.start_limit);
        return Err(format!(
            "log start offset {start} is not within {from}..={to}"
        ));
    }
    if end < known.acknowledged || end > last.max(known.acknowledged) {
        let acknowledged = known.acknowledged;
        return Err(format!(
            "log end offset {end}, {acknowledged} acknowledged of {last}"
        ));
    }
    // Records that are deleted need not be durable before that.
    let boundary =
        end == known.acknowledged || end == start || known.batches.iter().any(|b| b.end() == end);
    expect(
        "the end is the end of a batch",
        &(boundary || end == 0),
        &true,
    )?;
    expect("flushed", &log.flushed_offset(), &end)?;
    check_records(log, known, end)?;
    check_look_ups(log, known, random)?;
    if end == 0 || known.batches.iter().any(|b| b.end() == end) {
        check_producers(log, known)?;
    }
    check_epochs(log, known)
}

fn check_records(log: &Log, known: &Partition, end: i64) -> Result<(), Broken> {
    let mut next = log.start_offset();
    let expected = known
        .batches
        .iter()
        .filter(|b| b.end() > next && b.end() <= end);
    let expected: Vec<&Batch> = expected.collect();
    let mut expected = expected.into_iter();
    while next < end {
        let read = told("read", log.read(next, end, 1 << 20, true))?.records;
        if read.is_empty() {
            return Err(format!("nothing at {next} of {end}"));
        }
        let mut bytes = &read[..];
        while !bytes.is_empty() {
            let header = told("batch", verify(bytes))?;
            let batch = expected
                .next()
                .ok_or(format!("a batch too many at {next}"))?;
            check_batch(&header, &bytes[..header.size()], batch)?;
            next = header.last_offset() + 1;
            bytes = &bytes[header.size()..];
        }
    }
    match expected.next() {
        Some(batch) => Err(format!("no batch at {}", batch.base_offset)),
        None => Ok(()),
    }
}

fn check_batch(header: &BatchHeader, bytes: &[u8], batch: &Batch) -> Result<(), Broken> {
    expect("base offset", &header.base_offset, &batch.base_offset)?;
    expect("leader epoch", &header.leader_epoch, &batch.leader_epoch)?;
    let mut found = Vec::new();
    for record in records(header, &bytes[HEADER_LEN..]) {
        let record = told("record", record)?;
        let timestamp = header.base_timestamp + record.timestamp_delta;
        found.push((timestamp, record.value.unwrap_or_default().to_vec()));
    }
    expect("records", &found, &batch.records)
}

fn check_look_ups(log: &Log, known: &Partition, random: &mut Random) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let mut all = Vec::new();
    for batch in known.batches.iter().filter(|b| b.end() <= end) {
        for (i, (timestamp, _)) in batch.records.iter().enumerate() {
            all.push((batch.base_offset + i as i64, *timestamp));
        }
    }
    all.retain(|(offset, _)| *offset >= start);
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

/// Producers of batches that are there must be known; others may be.
fn check_producers(log: &Log, known: &Partition) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    let all = known.producers(0, end);
    let must = known.producers(start, end);
    let found = log.producers();
    for producer in &found {
        let expected = all
            .get(&producer.producer_id)
            .ok_or(format!("{producer:?} never produced"))?;
        // What lay below the log start offset may be forgotten.
        let is_since = |batch: &Batch| {
            batch.base_offset <= start
                && known
                    .producers(batch.base_offset, end)
                    .get(&producer.producer_id)
                    == Some(producer)
        };
        if producer != expected && !known.batches.iter().any(is_since) {
            expect("producer", producer, expected)?;
        }
    }
    for id in must.keys() {
        if !found.iter().any(|producer| producer.producer_id == *id) {
            return Err(format!("producer {id} is forgotten"));
        }
    }
    Ok(())
}

fn check_epochs(log: &Log, known: &Partition) -> Result<(), Broken> {
    let (start, end) = (log.start_offset(), log.end_offset());
    for expected in known.epoch_ends(end) {
        if expected.end_offset > start {
            let found = log.epoch_end(expected.leader_epoch);
            expect("end of an epoch", &found, &Some(expected))?;
        }
    }
    Ok(())
}

/// A producer's last batch, sent again, is known.
fn check_duplicate(log: &Log, known: &Partition, random: &mut Random) -> Result<(), Broken> {
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
