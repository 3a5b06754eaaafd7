//! Opens what a crash left and compares it with what was promised.
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use protocol::record::BatchBuilder;
use storage::disk::RealDisk;
use storage::{Aborted, Append, Log, Logs, OpenError, Origin, ProducerInfo, Recovery};

use crate::found::read_all;
use crate::history::{NOW, config, options};
use crate::random::Random;
use crate::world::{Batch, Key, Partition, Presence, World};
use crate::{producing, reading};

/// Why a recovered state breaks a promise.
pub type Broken = String;

pub fn expect<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

pub fn told<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, Broken> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

/// A log that was found, and what is known of it.
type FoundLog = (Key, Arc<Log>, Partition);

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
    let mut found: Vec<FoundLog> = Vec::new();
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
        let known = check_variants(&partition.log, known, random).inspect_err(|_| trace(known));
        let known = known.map_err(|broken| format!("{key:?}: {broken}"))?;
        found.push((key, Arc::clone(&partition.log), known));
    }
    for key in world.present() {
        if !found.iter().any(|(found, ..)| *found == key) {
            return Err(format!("{key:?} is gone"));
        }
    }
    if random.one_in(4) {
        go_on(logs, found, random, &open)?;
    }
    Ok(())
}

/// Says what is known of a log that breaks a promise.
fn trace(known: &Partition) {
    if crate::run::trace() {
        for batch in known.failed.iter().flatten().chain(&known.batches) {
            eprintln!(
                "{}..{} {:?}",
                batch.base_offset,
                batch.end(),
                batch.produced
            );
            for record in batch.records.iter() {
                let size = record.value.as_ref().map(bytes::Bytes::len);
                let (key, horizon) = (&record.key, record.horizon_ms.map(|h| h - NOW));
                eprintln!(
                    "    {key:?}, {size:?} bytes, may go: {} {horizon:?}",
                    record.may_go
                );
            }
        }
    }
}

/// Checks a log; returns which of the things that it may be it is.
fn check_variants(log: &Log, known: &Partition, random: &mut Random) -> Result<Partition, Broken> {
    let mut first = None;
    for variant in known.variants() {
        match check_log(log, &variant, random) {
            Ok(()) => return Ok(variant),
            Err(broken) => _ = first.get_or_insert(broken),
        }
    }
    Err(first.unwrap_or_default())
}

/// What a restart must not change.
#[derive(Debug, PartialEq)]
struct State {
    key: Key,
    start: i64,
    end: i64,
    last_stable: i64,
    aborted: Vec<Aborted>,
    producers: Vec<ProducerInfo>,
}

impl State {
    fn of(key: &Key, log: &Log) -> Self {
        let (start, end) = (log.start_offset(), log.end_offset());
        Self {
            key: key.clone(),
            start,
            end,
            last_stable: log.last_stable_offset(),
            aborted: log.aborted(start, end),
            producers: log.producers(),
        }
    }
}

/// What recovery left must be fit for more, and a clean restart must change nothing.
fn go_on(
    logs: Logs,
    mut found: Vec<FoundLog>,
    random: &mut Random,
    open: &dyn Fn() -> Result<(Logs, Recovery), OpenError>,
) -> Result<(), Broken> {
    let mut states = Vec::new();
    let cleans = random.one_in(2);
    for (_, log, known) in &mut found {
        let end = log.end_offset();
        known.batches.retain(|batch| batch.end() <= end);
        producing::check_duplicate(log, known, random)?;
        let mut builder = BatchBuilder::new();
        builder.push(NOW, Some(b"key"), Some(b"after the crash"));
        let how = Append {
            origin: Origin::Client,
            leader_epoch: 1000,
            now_ms: NOW,
        };
        let appended = told("append", log.append(&builder.build(), how))?;
        expect("offset of the next append", &appended.base_offset, &end)?;
        if cleans && log.config().cleanup.compact {
            known.let_clean(log.last_stable_offset().min(end), NOW + 5000, 0);
        }
    }
    if cleans {
        logs.clean(NOW + 5000);
    }
    for (key, log, _) in &found {
        states.push(State::of(key, log));
    }
    told("close", logs.close())?;
    drop(logs);
    let (logs, recovery) = told("open again", open())?;
    expect("clean", &recovery.clean, &true)?;
    for ((partition, state), (key, _, known)) in recovery.partitions.iter().zip(&states).zip(&found)
    {
        let log = &partition.log;
        expect("after a clean restart", &State::of(key, log), state)?;
        let end = log.end_offset() - 1;
        let batches = read_all(log, end)?;
        reading::check_records(&batches, known, (state.start, end))?;
        if is_told_by_batches(known, (state.start, end)) {
            producing::check_transactions(log, known, &batches, random)?;
        }
    }
    expect("partitions", &recovery.partitions.len(), &states.len())?;
    drop(logs);
    Ok(())
}

/// Whether there are batches that tell of producers and transactions up to the end of a log. Where
/// all are deleted, some may have been cut off before.
fn is_told_by_batches(known: &Partition, (start, end): (i64, i64)) -> bool {
    end > start && known.batches.iter().any(|batch| batch.end() == end)
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
    let found = read_all(log, end)?;
    reading::check_records(&found, known, (start, end))?;
    reading::check_look_ups(log, known, &found, random)?;
    if is_told_by_batches(known, (start, end)) {
        producing::check_producers(log, known)?;
        producing::check_transactions(log, known, &found, random)?;
    }
    producing::check_epochs(log, known, &found)
}
