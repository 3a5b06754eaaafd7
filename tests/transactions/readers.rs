//! Readers of every partition, from the beginning to the last record, through all restarts.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::{PATIENCE, Random, rd};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::history::{self, Clock, Id, Isolation, Reading, Seen};
use crate::plain::LAST;
use crate::run::{PARTITIONS, Place};

/// Readers on their threads, which read while others write.
pub(crate) struct Readers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Reading>>>,
}

impl Readers {
    pub(crate) fn start(
        place: &Place,
        clock: Clock,
        names: &[(&str, Isolation)],
        chance: &mut Random,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let start = |(name, isolation): &(&str, Isolation)| {
            let mut reader = Reader {
                place: place.clone(),
                clock,
                next: vec![0; PARTITIONS as usize],
                open: (0..PARTITIONS).collect(),
                reading: Reading {
                    reader: (*name).to_owned(),
                    isolation: *isolation,
                    seen: Vec::new(),
                },
            };
            let over = Arc::clone(&over);
            let mut chance = Random::new(chance.next_number());
            std::thread::spawn(move || {
                reader.read(&over, &mut chance)?;
                Ok(reader.reading)
            })
        };
        let threads = names.iter().map(start).collect();
        Self { over, threads }
    }

    /// Waits until each has read the last record of each partition, which is there.
    pub(crate) fn finish(self) -> Result<Vec<Reading>> {
        self.over.store(true, Ordering::Relaxed);
        let mut readings = Vec::new();
        for thread in self.threads {
            readings.push(thread.join().ok().context("a reader panicked")??);
        }
        Ok(readings)
    }
}

struct Reader {
    place: Place,
    clock: Clock,
    /// The next offset to read, by partition.
    next: Vec<i64>,
    /// Partitions whose last record has not come.
    open: BTreeSet<i32>,
    reading: Reading,
}

impl Reader {
    fn read(&mut self, over: &AtomicBool, chance: &mut Random) -> Result<()> {
        let mut deadline = None;
        while !self.open.is_empty() {
            let consumer = self.consumer()?;
            // Then another one goes on where this one was.
            let until = Instant::now() + Duration::from_millis(500 + chance.below(10_000));
            while !self.open.is_empty() && Instant::now() < until {
                self.step(&consumer)?;
                if over.load(Ordering::Relaxed) {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                    ensure!(
                        Instant::now() < deadline,
                        "{} stands still at {:?}, partitions {:?} are not at their end",
                        self.reading.reader,
                        self.next,
                        self.open
                    );
                }
            }
        }
        Ok(())
    }

    fn consumer(&self) -> Result<BaseConsumer> {
        let settings = [("isolation.level", self.reading.isolation.name())];
        let consumer = rd::consumer(&self.place.bootstrap, &self.reading.reader, &settings)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let offset = Offset::Offset(self.next[partition as usize]);
            list.add_partition_offset(&self.place.topic, partition, offset)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }

    /// Takes note of a message, if one comes.
    fn step(&mut self, consumer: &BaseConsumer) -> Result<()> {
        // Errors say that the broker is away; the client comes back by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            return Ok(());
        };
        let place = history::Place {
            partition: message.partition(),
            offset: message.offset(),
        };
        let value = rd::text(&message);
        let id = Id::of_value(&value)
            .with_context(|| format!("{}: {value:?} at {place:?}", self.reading.reader))?;
        self.next[place.partition as usize] = place.offset + 1;
        if id.producer == LAST {
            self.open.remove(&place.partition);
        }
        let at = self.clock.now();
        self.reading.seen.push(Seen { at, place, id });
        Ok(())
    }
}
