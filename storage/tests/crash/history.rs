//! A history: one process after the other on one disk, with random operations on its logs. It keeps
//! the [`World`] up to date, always so that a crash in the middle of an operation finds it right.
use std::path::Path;
use std::sync::Arc;

use protocol::record::{BatchHeader, TimestampType};
use storage::{
    Append, Cleanup, FlushPolicy, Log, LogConfig, LogObserver, Logs, Origin, PartitionDir,
    Recovery, StorageOptions,
};

use crate::disk::SimulatedDisk;
use crate::faults::Fault;
use crate::random::Random;
use crate::world::{Key, Partition, Presence};
use crate::writing::Writing;

pub const NOW: i64 = 1_750_000_000_000;

/// One process.
pub struct Process {
    pub disk: SimulatedDisk,
    logs: Option<Logs>,
    open: Vec<(Key, Arc<Log>)>,
    random: Random,
    config: LogConfig,
    writing: Writing,
    /// The clock of the disk and of the appends.
    now_ms: i64,
}

/// Hears what is durable.
struct Acknowledge {
    disk: SimulatedDisk,
    key: Key,
}

impl LogObserver for Acknowledge {
    fn flushed(&self, offset: i64) {
        let mut state = self.disk.state();
        let partition = state.world.partition(&self.key);
        partition.acknowledge(offset);
    }
    fn start_moved(&self, _: i64) {}
    fn truncated(&self, _: i64) {}
    fn poisoned(&self) {
        self.disk.state().world.partition(&self.key).poisoned = true;
    }
}

/// Settings with small segments.
pub fn config(random: &mut Random) -> LogConfig {
    LogConfig {
        segment_bytes: 1500 + random.below(6000) as u32,
        segment_ms: 40_000,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 1 + random.below(800) as u32,
        retention_ms: -1,
        retention_bytes: if random.one_in(3) { 9000 } else { -1 },
        max_message_bytes: 1_048_588,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        cleanup: Cleanup {
            delete: random.one_in(2),
            compact: random.one_in(2),
        },
        flush_messages: if random.one_in(4) { 5 } else { i64::MAX },
        flush_ms: if random.one_in(4) { 10 } else { i64::MAX },
        file_delete_delay_ms: 0,
        delete_retention_ms: if random.one_in(2) { 3000 } else { 0 },
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        min_cleanable_dirty_ratio: 0.3,
    }
}

/// Settings of the set of logs in `dir`.
pub fn options(dir: &Path) -> StorageOptions {
    StorageOptions {
        data_dir: dir.to_owned(),
        flush: FlushPolicy::Commit,
        producer_id_expiration_ms: i64::MAX,
        retention_check_interval_ms: 300_000,
        cleaner_backoff_ms: 3_600_000,
        cleaner_bytes_per_second: f64::MAX,
        cleaner_map_bytes: 1 << 16,
    }
}

impl Process {
    /// Starts on the files in `dir`. `None` if the disk does not let it.
    pub fn start(disk: &SimulatedDisk, dir: &Path, mut random: Random) -> Option<Self> {
        let config = config(&mut random);
        disk.state().world.closed = false;
        let opened = Logs::open_by_hand(Arc::new(disk.clone()), options(dir), &config);
        let (logs, recovery) = opened.ok()?;
        let mut process = Self {
            disk: disk.clone(),
            logs: Some(logs),
            open: Vec::new(),
            config,
            writing: Writing::new(random.fork()),
            now_ms: NOW,
            random,
        };
        process.adopt(&recovery);
        Some(process)
    }

    /// Takes what recovery says as promised: it vouches for all that is there.
    fn adopt(&mut self, recovery: &Recovery) {
        let mut state = self.disk.state();
        for partition in state.world.partitions.values_mut() {
            Arc::make_mut(partition).presence = Presence::Absent;
        }
        for found in &recovery.partitions {
            let key = (found.topic.clone(), found.partition);
            let partition = state.world.partition(&key);
            let (start, end) = (found.log.start_offset(), found.log.end_offset());
            partition.presence = Presence::Present;
            partition.topic_id = found.topic_id;
            settle_failed(partition, found);
            let cut = partition.batches.iter().position(|b| b.end() > end);
            let cut = partition
                .batches
                .split_off(cut.unwrap_or(partition.batches.len()));
            if end == 0 && partition.promise_limit != i64::MAX && !cut.is_empty() {
                // Without any segment the start had nothing to make durable.
                partition.removed = cut;
            }
            partition.acknowledged = end;
            partition.promise_limit = i64::MAX;
            (
                partition.start,
                partition.start_limit,
                partition.start_doubt,
            ) = (start, start, start);
            partition.poisoned = false;
            self.open.push((key, Arc::clone(&found.log)));
        }
        drop(state);
        for (key, log) in &self.open {
            self.observe(key, log);
        }
    }

    fn observe(&self, key: &Key, log: &Log) {
        let (disk, key) = (self.disk.clone(), key.clone());
        log.set_observer(Arc::new(Acknowledge { disk, key }));
    }

    fn logs(&self) -> &Logs {
        self.logs.as_ref().unwrap()
    }

    fn pick(&mut self) -> Option<(Key, Arc<Log>)> {
        let chosen = self.random.below(self.open.len());
        self.open.get(chosen).cloned()
    }

    /// One random operation. False if the process is over.
    pub fn step(&mut self) -> bool {
        self.now_ms += 1 + self.random.below(500) as i64;
        self.disk.state().now_ms = self.now_ms;
        let what = self.random.below(100);
        if crate::run::trace() {
            self.trace(what);
        }
        match what {
            _ if self.open.is_empty() => self.create(),
            0..46 => self.append(),
            46..57 => self.flush(),
            57..62 => self.logs().flush_requested(),
            62..70 => self.keep_house(),
            70..77 => self.clean(),
            77..80 => self.delete_records(),
            80..83 => self.truncate(),
            83..86 => self.create(),
            86..88 => self.delete(),
            88..92 => self.configure(),
            92..96 => self.trouble(),
            96..98 => return self.close(),
            _ => {
                // The process ends, the system goes on.
                self.open.clear();
                self.logs = None;
                return false;
            }
        }
        true
    }

    /// Says what stands before an operation.
    fn trace(&self, what: usize) {
        let state = self.disk.state();
        eprintln!(
            "operation {what} at {}, {:?}",
            state.model.time, state.faults
        );
        for (key, log) in &self.open {
            let known = &state.world.partitions[key];
            eprintln!(
                "  {key:?} {}..{} flushed {} acknowledged {} {}",
                log.start_offset(),
                log.end_offset(),
                log.flushed_offset(),
                known.acknowledged,
                if known.poisoned { "poisoned" } else { "" },
            );
        }
    }

    fn append(&mut self) {
        let Some((key, log)) = self.pick() else {
            return;
        };
        let internal = self.random.one_in(3);
        let count = if internal {
            1 + self.random.below(4)
        } else {
            1
        };
        let base_offset = log.end_offset();
        let batches = {
            let mut state = self.disk.state();
            let partition = state.world.partition(&key);
            let batches =
                self.writing
                    .batches(partition, base_offset, self.now_ms, count, internal);
            partition.batches.extend_from_slice(&batches);
            if count > 1 && self.random.one_in(8) {
                // Half-way through the append.
                let fault = Fault::Write { grows: false };
                state.faults.armed = Some((fault, 0));
            }
            batches
        };
        let bytes: Vec<&[u8]> = batches.iter().map(|batch| &batch.bytes[..]).collect();
        let how = Append {
            origin: if internal {
                Origin::Internal
            } else {
                Origin::Client
            },
            leader_epoch: batches[0].leader_epoch,
            now_ms: self.now_ms,
        };
        let appended = log.append(&bytes.concat(), how);
        let mut state = self.disk.state();
        let partition = state.world.partition(&key);
        if let Ok(appended) = appended {
            partition.failed.clear();
            let found = (appended.base_offset, appended.last_offset + 1);
            assert_eq!(found, (base_offset, batches[batches.len() - 1].end()));
            assert!(!appended.duplicate);
        } else {
            partition.batches.retain(|b| b.base_offset < base_offset);
            partition.failed.push(batches);
        }
        drop(state);
        if self.random.one_in(3) {
            log.request_flush();
            if self.random.one_in(2) {
                self.logs().flush_requested();
            }
        }
    }

    fn clean(&mut self) {
        for (key, log) in &self.open {
            let config = log.config();
            if config.cleanup.compact {
                let retention_ms = config.delete_retention_ms;
                let mut state = self.disk.state();
                let partition = state.world.partition(key);
                let flushed = log.flushed_offset();
                // What is decided by markers that are durable. A transaction that began below the
                // log start offset may be forgotten after a restart (seed 2592).
                let transactions = partition.transactions(log.start_offset(), flushed);
                let limit = transactions.first_open().unwrap_or(flushed);
                let limit = limit.min(log.last_stable_offset());
                partition.cut_floor = partition.cut_floor.max(flushed);
                partition.let_clean(limit, self.now_ms, retention_ms);
            }
        }
        self.logs().clean(self.now_ms);
    }

    fn flush(&mut self) {
        let Some((key, log)) = self.pick() else {
            return;
        };
        if log.flush().is_ok() {
            assert_eq!(log.flushed_offset(), log.end_offset());
            self.disk
                .state()
                .world
                .partition(&key)
                .acknowledge(log.end_offset());
        }
    }

    fn keep_house(&mut self) {
        let fired = self.let_starts_move();
        self.logs().keep_house(self.now_ms);
        self.settle_starts(fired);
    }

    /// Retention may move each start from now on.
    fn let_starts_move(&self) -> u64 {
        let mut state = self.disk.state();
        for (key, log) in &self.open {
            state.world.partition(key).start_limit = log.end_offset();
        }
        state.faults.fired
    }

    fn settle_starts(&self, fired_before: u64) {
        let mut state = self.disk.state();
        // What failed may be on the disk all the same.
        let doubt = state.faults.fired > fired_before;
        for (key, log) in &self.open {
            state
                .world
                .partition(key)
                .settle_start(log.start_offset(), doubt);
        }
    }

    fn delete_records(&mut self) {
        let Some((key, log)) = self.pick() else {
            return;
        };
        let (start, end) = (log.start_offset(), log.end_offset());
        let offset = if self.random.one_in(6) {
            end
        } else {
            start + self.random.below((end - start + 1) as usize) as i64
        };
        {
            let mut state = self.disk.state();
            let partition = state.world.partition(&key);
            partition.start_limit = partition.start_limit.max(offset);
        }
        let deleted = log.delete_records(offset);
        let mut state = self.disk.state();
        let partition = state.world.partition(&key);
        partition.settle_start(log.start_offset(), deleted.is_err());
    }

    fn truncate(&mut self) {
        let Some((key, log)) = self.pick() else {
            return;
        };
        let (start, end) = (log.start_offset(), log.end_offset());
        let offset = start + self.random.below((end - start + 1) as usize) as i64;
        let mut state = self.disk.state();
        // What may still be cut off is not compacted, nor does it decide anything.
        let offset = offset.max(state.world.partition(&key).cut_floor);
        if offset < end {
            // What is to be cut off is not promised any more.
            let partition = state.world.partition(&key);
            let cut = partition.batches.iter().find(|batch| batch.end() > offset);
            let cut = cut.map_or(offset, |batch| batch.base_offset);
            partition.withdraw(cut);
            partition.start = partition.start.min(cut);
        }
        drop(state);
        let cut = log.truncate(offset);
        let mut state = self.disk.state();
        let partition = state.world.partition(&key);
        if cut.is_err() || offset >= end {
            // Until the next start any part of it may be cut, also if a later cut that has nothing
            // to do succeeds (seed 3744).
            return;
        }
        let end = log.end_offset();
        partition.batches.retain(|batch| batch.end() <= end);
        partition.promise_limit = i64::MAX;
        partition.acknowledge(log.flushed_offset());
        partition.start = partition.start.min(end);
        partition.settle_start(log.start_offset(), false);
    }

    fn create(&mut self) {
        let topic = format!("t{}", self.random.below(3));
        let count = if self.random.one_in(10) { 6 } else { 1 };
        let topic_id = [self.random.next() as u8; 16];
        let keys: Vec<Key> = (0..count).map(|p| (topic.clone(), p)).collect();
        {
            let mut state = self.disk.state();
            let there = |key: &Key| {
                let partition = state.world.partitions.get(key);
                partition.is_some_and(|p| p.presence != Presence::Absent)
            };
            if keys.iter().any(there) {
                return;
            }
            for key in &keys {
                let partition = Arc::new(Partition::new(topic_id));
                state.world.partitions.insert(key.clone(), partition);
            }
        }
        let made = self
            .logs()
            .create_many(&topic, 0..count, topic_id, &self.config);
        let Ok(made) = made else { return };
        for (key, log) in keys.into_iter().zip(made) {
            self.disk.state().world.partition(&key).presence = Presence::Present;
            self.observe(&key, &log);
            self.open.push((key, log));
        }
    }

    fn delete(&mut self) {
        let Some((key, _)) = self.pick() else { return };
        self.open.retain(|(open, _)| *open != key);
        self.disk.state().world.partition(&key).presence = Presence::Unsettled;
        if self.logs().delete(&key.0, key.1).is_ok() {
            self.disk.state().world.partition(&key).presence = Presence::Absent;
        }
    }

    fn configure(&mut self) {
        let config = config(&mut self.random);
        if let Some((_, log)) = self.pick() {
            log.set_config(config);
        }
    }

    fn trouble(&mut self) {
        let mut state = self.disk.state();
        if state.faults.full {
            state.faults.full = false;
            return;
        }
        let fault = match self.random.below(8) {
            0 => {
                state.faults.full = true;
                return;
            }
            1 => Fault::Sync,
            2 => Fault::Create,
            3 => Fault::Rename,
            4 => Fault::Allocate,
            5 => Fault::Write { grows: false },
            _ => Fault::ShortWrite,
        };
        state.faults.armed = Some((fault, self.random.below(4)));
    }

    fn close(&mut self) -> bool {
        let closed = self.logs().close();
        if closed.is_ok() {
            let mut state = self.disk.state();
            state.world.closed = true;
            for (key, log) in &self.open {
                state.world.partition(key).acknowledge(log.end_offset());
            }
        }
        self.open.clear();
        self.logs = None;
        false
    }
}

/// Finds out which of the appends that failed is there, if any is.
fn settle_failed(partition: &mut Partition, found: &PartitionDir) {
    let end = found.log.end_offset();
    let removed = Some(std::mem::take(&mut partition.removed)).filter(|r| !r.is_empty());
    let failed = std::mem::take(&mut partition.failed);
    for failed in failed.into_iter().chain(removed) {
        let base_offset = failed[0].base_offset;
        let crc = |bytes: &[u8]| BatchHeader::parse(bytes).ok().map(|header| header.crc);
        let there = found.log.read(base_offset, end, 1, true);
        if there.is_ok_and(|there| crc(&there.records) == crc(&failed[0].bytes)) {
            let batches = &mut partition.batches;
            batches.retain(|batch| batch.base_offset < base_offset);
            batches.extend(failed);
            return;
        }
    }
}
