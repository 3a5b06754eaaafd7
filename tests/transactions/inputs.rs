//! The input of those writers that consume, process and produce: a topic that each group copies for
//! itself, as a part of its transactions.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Random, rd};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::groups::{self, INPUT_PARTITIONS};
use crate::history::{Clock, Feed, Source, Told};
use crate::run::Place;

/// How long a writer waits for input before it writes something else.
const IDLE: Duration = Duration::from_millis(200);

/// Writes `count` records to each partition of the input. Their offsets have no gaps.
pub(crate) fn fill(place: &Place, count: i64) -> Result<()> {
    rd::create_topic(&place.bootstrap, &place.input, INPUT_PARTITIONS, &[])?;
    for partition in 0..INPUT_PARTITIONS {
        let values: Vec<_> = (0..count).map(|offset| value(partition, offset)).collect();
        let offsets = rd::produce(&place.bootstrap, &place.input, partition, &values)?;
        ensure!(offsets.into_iter().eq(0..count), "the input has gaps");
    }
    Ok(())
}

fn value(partition: i32, offset: i64) -> String {
    format!("{partition}/{offset}")
}

/// The input as one member of a group reads it.
pub(crate) struct Inputs {
    place: Place,
    clock: Clock,
    group: u32,
    consumer: BaseConsumer,
    /// Offsets that were read and not taken, by partition.
    ahead: Vec<VecDeque<i64>>,
    /// The next offset to read, by partition.
    next: Vec<i64>,
}

impl Inputs {
    /// From where the group has come to.
    pub(crate) fn of(place: &Place, clock: Clock, group: u32) -> Result<(Self, Vec<Told>)> {
        let settings = [("isolation.level", "read_committed")];
        let consumer = rd::consumer(&place.bootstrap, &place.group(group), &settings)?;
        let partitions = INPUT_PARTITIONS as usize;
        let mut inputs = Self {
            place: place.clone(),
            clock,
            group,
            consumer,
            ahead: vec![VecDeque::new(); partitions],
            next: vec![0; partitions],
        };
        let told = inputs.rewind()?;
        Ok((inputs, told))
    }

    /// Goes back to where the group has come to: what it was told about that.
    pub(crate) fn rewind(&mut self) -> Result<Vec<Told>> {
        let told = groups::settled(&self.place, self.clock, self.group)?;
        let mut list = TopicPartitionList::new();
        for told in &told {
            let (partition, offset) = (told.feed.partition, told.offset.max(0));
            self.next[partition as usize] = offset;
            self.ahead[partition as usize].clear();
            list.add_partition_offset(&self.place.input, partition, Offset::Offset(offset))?;
        }
        self.consumer.assign(&list)?;
        Ok(told)
    }

    /// Up to three records of one partition; none if there is nothing to read.
    pub(crate) fn take(&mut self, chance: &mut Random) -> Result<Vec<Source>> {
        let deadline = Instant::now() + IDLE;
        let at_end = self.next.iter().all(|next| *next >= self.place.inputs);
        while self.ahead.iter().all(VecDeque::is_empty) && !at_end && Instant::now() < deadline {
            self.read()?;
        }
        let first = chance.below(INPUT_PARTITIONS as u64) as i32;
        let mut partitions = (0..INPUT_PARTITIONS).map(|it| (first + it) % INPUT_PARTITIONS);
        let ready = partitions.find(|it| !self.ahead[*it as usize].is_empty());
        let Some(partition) = ready else {
            return Ok(Vec::new());
        };
        let ahead = &mut self.ahead[partition as usize];
        let count = (1 + chance.below(3) as usize).min(ahead.len());
        let (group, taken) = (self.group, ahead.drain(..count));
        let feed = Feed { group, partition };
        Ok(taken.map(|offset| Source { feed, offset }).collect())
    }

    /// They were not processed after all.
    pub(crate) fn put_back(&mut self, sources: &[Source]) {
        for source in sources.iter().rev() {
            self.ahead[source.feed.partition as usize].push_front(source.offset);
        }
    }

    /// Reads some, if they come.
    fn read(&mut self) -> Result<()> {
        let mut patience = Duration::from_millis(20);
        for _ in 0..20 {
            // Errors say that the broker is away; the client comes back by itself.
            let Some(Ok(message)) = self.consumer.poll(patience) else {
                break;
            };
            patience = Duration::ZERO;
            let (partition, offset) = (message.partition(), message.offset());
            let next = &mut self.next[partition as usize];
            ensure!(
                offset == *next && rd::text(&message) == value(partition, offset),
                "{:?} at {partition}/{offset} of the input, after {next}",
                rd::text(&message)
            );
            *next += 1;
            self.ahead[partition as usize].push_back(offset);
        }
        Ok(())
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer {
        &self.consumer
    }

    /// The topic's name.
    pub(crate) fn name(&self) -> &str {
        &self.place.input
    }

    /// The group's name.
    pub(crate) fn group(&self) -> String {
        self.place.group(self.group)
    }
}
