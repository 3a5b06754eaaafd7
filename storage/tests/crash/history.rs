//! A history: one process after the other on one disk, with random operations on its logs. It keeps
//! the [`World`] up to date, always so that a crash in the middle of an operation finds it right.
use std::path::Path;
use std::sync::Arc;

use protocol::record::{BatchBuilder, TimestampType};
use storage::{
    Append, Cleanup, FlushPolicy, Log, LogConfig, LogObserver, Logs, Origin, Recovery,
    StorageOptions,
};

use crate::disk::SimulatedDisk;
use crate::faults::Fault;
use crate::random::Random;
use crate::world::{Batch, Key, Partition, Presence, Produced};

pub const NOW: i64 = 1_750_000_000_000;

/// One process.
pub struct Process {
    pub disk: SimulatedDisk,
    logs: Option<Logs>,
    open: Vec<(Key, Arc<Log>)>,
    random: Random,
    config: LogConfig,
    counter: u64,
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
            delete: true,
            compact: false,
        },
        flush_messages: if random.one_in(4) { 5 } else { i64::MAX },
        flush_ms: if random.one_in(4) { 10 } else { i64::MAX },
        file_delete_delay_ms: 0,
        delete_retention_ms: 0,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        min_cleanable_dirty_ratio: 0.5,
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
            counter: random.next() << 32,
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
            partition.batches.retain(|batch| batch.end() <= end);
            partition.acknowledged = end;
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
            0..50 => self.append(),
            50..62 => self.flush(),
            62..68 => self.logs().flush_requested(),
            68..76 => self.keep_house(),
            76..80 => self.delete_records(),
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
        let internal = self.random.one_in(8);
        let count = if internal {
            1 + self.random.below(3)
        } else {
            1
        };
        let mut batches = Vec::new();
        let mut offset = log.end_offset();
        for _ in 0..count {
            let batch = self.build(&key, offset, &batches, internal);
            offset = batch.end();
            batches.push(batch);
        }
        let bytes: Vec<u8> = batches
            .iter()
            .flat_map(|batch| batch.bytes.to_vec())
            .collect();
        let how = Append {
            origin: if internal {
                Origin::Internal
            } else {
                Origin::Client
            },
            leader_epoch: batches[0].leader_epoch,
            now_ms: self.now_ms,
        };
        self.disk
            .state()
            .world
            .partition(&key)
            .batches
            .extend(batches);
        let base_offset = log.end_offset();
        if let Ok(appended) = log.append(&bytes, how) {
            let found = (appended.base_offset, appended.last_offset);
            assert_eq!(found, (base_offset, offset - 1));
            assert!(!appended.duplicate);
        } else {
            let mut state = self.disk.state();
            let partition = state.world.partition(&key);
            partition
                .batches
                .retain(|batch| batch.base_offset < base_offset);
        }
        if self.random.one_in(3) {
            log.request_flush();
            if self.random.one_in(2) {
                self.logs().flush_requested();
            }
        }
    }

    /// A batch for the end of a log, after those that are `ahead` of it.
    fn build(&mut self, key: &Key, base_offset: i64, ahead: &[Batch], internal: bool) -> Batch {
        let random = &mut self.random;
        let mut state = self.disk.state();
        let partition = state.world.partition(key);
        let last_epoch = partition
            .batches
            .last()
            .map_or(0, |batch| batch.leader_epoch);
        let leader_epoch = match ahead.first() {
            Some(first) => first.leader_epoch,
            None => last_epoch + i32::from(random.one_in(40)),
        };
        let mut known = partition.clone();
        known.batches.extend_from_slice(ahead);
        let produced = random
            .percent(60)
            .then(|| produced(random, &known, base_offset, internal));
        let mut builder = BatchBuilder::new();
        if let Some(p) = produced {
            builder = builder.producer(p.id, p.epoch, p.base_sequence);
            if p.transactional {
                builder = builder.transactional();
            }
        }
        let marker = produced.and_then(|produced| produced.marker);
        let now_ms = self.now_ms;
        let mut records = Vec::new();
        if let Some(epoch) = marker {
            builder = builder.control();
            let value = [&[0, 0], &epoch.to_be_bytes()[..]].concat();
            builder.push(now_ms, Some(&[0, 0, 0, 1]), Some(&value));
            records.push((now_ms, value));
        } else {
            for _ in 0..=random.below(4) {
                self.counter += 1;
                let mut value = self.counter.to_be_bytes().to_vec();
                value.resize(8 + random.below(3) * random.below(300), b'.');
                let timestamp = now_ms - random.below(2000) as i64;
                builder.push(timestamp, Some(b"key"), Some(&value));
                records.push((timestamp, value));
            }
        }
        Batch {
            base_offset,
            records,
            produced,
            leader_epoch,
            bytes: builder.build(),
        }
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
        if offset < end {
            // What is to be cut off is not promised any more.
            let mut state = self.disk.state();
            let partition = state.world.partition(&key);
            let cut = partition.batches.iter().find(|batch| batch.end() > offset);
            let cut = cut.map_or(offset, |batch| batch.base_offset);
            partition.withdraw(cut);
            partition.start = partition.start.min(cut);
        }
        let cut = log.truncate(offset);
        let mut state = self.disk.state();
        let partition = state.world.partition(&key);
        if cut.is_err() {
            // Until the next start any part of it may be cut.
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

/// Who produces the next batch of a log.
fn produced(random: &mut Random, known: &Partition, end: i64, internal: bool) -> Produced {
    let id = random.below(4) as i64;
    let producers = known.producers(0, end);
    let producer = producers.get(&id);
    let fresh = random.one_in(20);
    let epoch = producer.map_or(0, |p| p.producer_epoch) + i16::from(fresh && producer.is_some());
    let open = producer.is_some_and(|p| p.transaction_start_offset >= 0);
    let marker = internal && open && random.one_in(2);
    if marker {
        return Produced {
            id,
            epoch: producer.unwrap().producer_epoch,
            base_sequence: -1,
            transactional: true,
            marker: Some(random.below(5) as i32),
        };
    }
    let last = producer.filter(|p| p.producer_epoch == epoch);
    Produced {
        id,
        epoch,
        base_sequence: last.map_or(0, |p| p.last_sequence + 1),
        transactional: id == 3,
        marker: None,
    }
}
