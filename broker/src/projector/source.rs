//! Reads a source: whole batches of all partitions, a share of each in turn.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use projection::Input;
use protocol::record::{self, BatchHeader, Record, RecordError, TimestampType};
use storage::ReadError;

use super::scan::{DECOMPRESSED_BYTES, placed};
use crate::metadata::Topic;
use crate::partition::Partition;

/// Bytes of one partition before the next one has its turn.
const SHARE_BYTES: usize = 128 * 1024;

/// What a view is given of its source.
pub enum Item<'a> {
    /// A record.
    Record(Input<'a>, &'a Record<'a>),
    /// From here on nothing in this batch can be read: why. Its producer made it so, for it has
    /// its checksum.
    Unreadable(Input<'a>, RecordError),
    /// Nothing for a view lies in this partition below this offset: control records, or what
    /// compaction removed.
    Skip(i32, i64),
}

/// What may be read before the next commit.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Records left.
    pub records: usize,
    /// Bytes of records left, uncompressed: what a commit holds in memory follows from them.
    pub bytes: usize,
    /// Until when.
    pub until: Instant,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.is_used_up() || Instant::now() >= self.until
    }

    fn is_used_up(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn take(&mut self, record: &Record<'_>) {
        let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let size = size(record.key) + size(record.value) + record.raw_headers.len();
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }
}

/// Why a source cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Records are gone that were not read, or the log is shorter than what was read.
    #[error("{0}")]
    Lost(String),
    /// Bytes that are no batch.
    #[error("{topic}-{partition} at offset {offset}: {reason}")]
    Corrupt {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset that was to be read.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
    /// The disk.
    #[error("cannot read {topic}-{partition}: {reason}")]
    Read {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// What is wrong.
        reason: String,
    },
}

/// A batch that was decompressed and not read to its end.
#[derive(Debug)]
struct Opened {
    partition: i32,
    base_offset: i64,
    crc: u32,
    body: Vec<u8>,
}

/// The reader of one topic.
#[derive(Debug)]
pub struct Source {
    /// The topic.
    pub topic: Arc<Topic>,
    /// Only what is on disk may be read: a commit must not name what a loss of power takes back.
    durable_only: bool,
    /// Offset of the next record to read, by partition.
    next: BTreeMap<i32, i64>,
    turn: usize,
    opened: Option<Opened>,
}

impl Source {
    /// A reader that goes on at `next`; partitions that are not in it start at their log start.
    pub fn new(topic: Arc<Topic>, durable_only: bool, next: BTreeMap<i32, i64>) -> Self {
        Self {
            topic,
            durable_only,
            next,
            turn: 0,
            opened: None,
        }
    }

    /// Reads a partition from `first` on, unless it is being read already.
    pub fn begin(&mut self, partition: i32, first: i64) {
        self.next.entry(partition).or_insert(first);
    }

    /// Goes back, or on, to `next`.
    pub fn seek(&mut self, next: BTreeMap<i32, i64>) {
        self.next = next;
    }

    /// Whether a record can be read.
    pub fn has_more(&self) -> bool {
        let partitions = self.topic.partitions();
        partitions.iter().any(|partition| {
            let next = self.next.get(&partition.index);
            let next = next.map_or_else(|| partition.log.start_offset(), |next| *next);
            next < self.readable_end(partition)
        })
    }

    /// First offset that must not be read yet.
    fn readable_end(&self, partition: &Partition) -> i64 {
        let end = partition.last_stable_offset();
        if self.durable_only {
            end.min(partition.log.flushed_offset())
        } else {
            end
        }
    }

    /// A partition with records that are not on disk yet.
    pub fn unflushed(&self) -> Option<(Arc<Partition>, i64)> {
        let partitions = self.topic.partitions();
        let behind = |partition: &&Arc<Partition>| {
            self.durable_only && partition.log.flushed_offset() < partition.last_stable_offset()
        };
        let partition = partitions.iter().find(behind)?;
        Some((Arc::clone(partition), partition.last_stable_offset() - 1))
    }

    /// Hands records to `each` until it breaks, the budget is spent, or there is no more to read.
    /// `bound` holds, by partition, offsets that must not be reached. What is left of the budget
    /// tells how much was read.
    pub fn read(
        &mut self,
        bound: Option<&BTreeMap<i32, i64>>,
        budget: &mut Budget,
        mut each: impl FnMut(Item) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let partitions = self.topic.partitions();
        let mut quiet = 0;
        while quiet < partitions.len() && !budget.is_spent() {
            let partition = &partitions[self.turn % partitions.len()];
            self.turn = (self.turn + 1) % partitions.len();
            let index = partition.index;
            let bound = bound.map_or(i64::MAX, |bound| bound.get(&index).copied().unwrap_or(0));
            let next = match self.next.get(&index) {
                Some(next) => *next,
                None => partition.log.start_offset(),
            };
            let end = self.readable_end(partition);
            if next >= bound.min(end) {
                quiet += 1;
                continue;
            }
            let range = Range { next, end, bound };
            let done = self.read_some(partition, range, budget, &mut each)?;
            if self.opened.as_ref().is_some_and(|it| it.partition == index) {
                // Goes on with it, so that it is decompressed once.
                self.turn = partitions
                    .iter()
                    .position(|it| it.index == index)
                    .unwrap_or(0);
            }
            if done.is_break() {
                break;
            }
            let moved = self.next.get(&index).is_some_and(|now| *now > next);
            quiet = if moved { 0 } else { quiet + 1 };
        }
        Ok(())
    }

    fn read_some(
        &mut self,
        partition: &Partition,
        range: Range,
        budget: &mut Budget,
        each: &mut impl FnMut(Item) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SourceError> {
        let share = SHARE_BYTES.min(budget.bytes);
        let read = partition.log.read(range.next, range.end, share, true);
        let read = read.map_err(|error| self.read_error(partition, range.next, error))?;
        let aborted = partition.log.aborted(range.next, read.next_offset);
        let mut rest = &read.records[..];
        let mut next = range.next;
        while !rest.is_empty() && next < range.bound && !budget.is_spent() {
            let verified = record::verify(rest);
            let header = verified.map_err(|error| self.corrupt(partition, next, &error))?;
            let (batch, more) = rest.split_at(header.size());
            let walk = Walk {
                partition: partition.index,
                next,
                bound: range.bound,
                is_aborted: aborted.iter().any(|it| it.has(&header)),
            };
            let (reached, flow) = self.walk(&header, batch, walk, budget, each);
            next = reached;
            self.next.insert(partition.index, next);
            if flow.is_break() {
                return Ok(flow);
            }
            rest = more;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Hands the records of one batch on; returns how far it came.
    fn walk(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        walk: Walk,
        budget: &mut Budget,
        each: &mut impl FnMut(Item) -> ControlFlow<()>,
    ) -> (i64, ControlFlow<()>) {
        let after = header.last_offset() + 1;
        let Walk {
            partition, bound, ..
        } = walk;
        let mut next = walk.next;
        if header.attributes.is_control() || walk.is_aborted {
            return (after, each(Item::Skip(partition, after)));
        }
        let (body, mut bad) = match self.open(partition, header, batch) {
            Ok(body) => (body, None),
            Err(error) => (Cow::Borrowed(&[][..]), Some(error)),
        };
        let (mut flow, mut unfinished) = (ControlFlow::Continue(()), false);
        let records = bad.is_none().then(|| placed(header, &body));
        for record in records.into_iter().flatten() {
            let (offset, record) = match record {
                Ok((offset, _)) if offset < next => continue,
                Ok(record) => record,
                Err(error) => {
                    bad = Some(error);
                    break;
                }
            };
            unfinished = offset >= bound || budget.is_used_up() || flow.is_break();
            if unfinished {
                break;
            }
            let input = Input {
                partition,
                offset,
                timestamp: timestamp(header, &record),
                value: record.value,
            };
            flow = each(Item::Record(input, &record));
            budget.take(&record);
            next = offset + 1;
        }
        if unfinished {
            if let Cow::Owned(body) = body {
                self.opened = Some(Opened {
                    partition,
                    base_offset: header.base_offset,
                    crc: header.crc,
                    body,
                });
            }
            return (next, flow);
        }
        if next >= after || after > bound {
            return (next, flow);
        }
        if let Some(error) = bad {
            let input = Input {
                partition,
                offset: next,
                timestamp: header.max_timestamp,
                value: None,
            };
            flow = merge(flow, each(Item::Unreadable(input, error)));
        }
        (after, merge(flow, each(Item::Skip(partition, after))))
    }

    /// The records of a batch, decompressed; as they were left if the last read stopped in it.
    fn open<'a>(
        &mut self,
        partition: i32,
        header: &BatchHeader,
        batch: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, RecordError> {
        let kept = self.opened.take().filter(|opened| {
            let of = (opened.partition, opened.base_offset, opened.crc);
            of == (partition, header.base_offset, header.crc)
        });
        match kept {
            Some(opened) => Ok(Cow::Owned(opened.body)),
            None => record::decompress(header, batch, DECOMPRESSED_BYTES),
        }
    }

    fn read_error(&self, partition: &Partition, offset: i64, error: ReadError) -> SourceError {
        let (topic, partition) = (self.topic.name.to_string(), partition.index);
        match error {
            ReadError::OutOfRange { offset, start, end } => SourceError::Lost(format!(
                "{topic}-{partition} holds offsets {start} to {end}, the next one to read is \
                 {offset}"
            )),
            ReadError::Closed => SourceError::Lost(format!("{topic} was deleted")),
            ReadError::Corrupt { .. } => SourceError::Corrupt {
                topic,
                partition,
                offset,
                reason: "the batch is damaged".to_owned(),
            },
            ReadError::Storage(error) => SourceError::Read {
                topic,
                partition,
                reason: error.to_string(),
            },
        }
    }

    fn corrupt(&self, partition: &Partition, offset: i64, error: &RecordError) -> SourceError {
        SourceError::Corrupt {
            topic: self.topic.name.to_string(),
            partition: partition.index,
            offset,
            reason: error.to_string(),
        }
    }
}

/// What to read of a partition: from `next`, whole batches below `end`, records below `bound`.
#[derive(Debug, Clone, Copy)]
struct Range {
    next: i64,
    end: i64,
    bound: i64,
}

/// What to take of a batch.
#[derive(Debug, Clone, Copy)]
struct Walk {
    partition: i32,
    next: i64,
    bound: i64,
    /// It is part of a transaction that was aborted.
    is_aborted: bool,
}

fn merge(a: ControlFlow<()>, b: ControlFlow<()>) -> ControlFlow<()> {
    if a.is_break() { a } else { b }
}

/// The record's timestamp, epoch ms; -1 without one.
pub fn timestamp(header: &BatchHeader, record: &Record<'_>) -> i64 {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.saturating_add(record.timestamp_delta),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}
