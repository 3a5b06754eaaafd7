//! Idempotent producers without transactions, which write to the same partitions all along and live
//! through all restarts.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::rd::{self, TestProducer};
use harness::{PATIENCE, Random};
use rdkafka::producer::Producer;

use crate::history::{Id, Plain, Write};
use crate::run::{PARTITIONS, Place};

/// Number of the producer that writes the last record of each partition.
pub(crate) const LAST: u32 = 0;

/// The producers on their threads.
pub(crate) struct PlainWriters {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Plain>>>>,
}

impl PlainWriters {
    /// Starts one for each of `numbers`.
    pub(crate) fn start(place: &Place, numbers: &[u32], chance: &mut Random) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for &number in numbers {
            let producer = producer(place)?;
            let (place, over) = (place.clone(), Arc::clone(&over));
            let chance = Random::new(chance.next_number());
            threads.push(std::thread::spawn(move || {
                write(&producer, &place, number, &over, chance)?;
                acknowledged(&producer)
            }));
        }
        Ok(Self { over, threads })
    }

    /// Ends them, once everything is acknowledged.
    pub(crate) fn finish(self) -> Result<Vec<Plain>> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            all.extend(thread.join().ok().context("a plain producer panicked")??);
        }
        Ok(all)
    }
}

/// Writes a last record to each partition, by which readers know that they have everything.
pub(crate) fn write_last(place: &Place) -> Result<Vec<Plain>> {
    let producer = producer(place)?;
    for partition in 0..PARTITIONS {
        let id = Id {
            producer: LAST,
            number: partition as u32,
        };
        rd::send(&producer, &place.topic, partition, "", &id.value())?;
    }
    acknowledged(&producer)
}

fn producer(place: &Place) -> Result<TestProducer> {
    let settings = [
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "600000"),
    ];
    rd::producer(&place.bootstrap, &settings)
}

fn write(
    producer: &TestProducer,
    place: &Place,
    number: u32,
    over: &AtomicBool,
    mut chance: Random,
) -> Result<()> {
    let mut next = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..chance.below(8) {
            let partition = chance.below(PARTITIONS as u64) as i32;
            let id = Id {
                producer: number,
                number: next,
            };
            rd::send(producer, &place.topic, partition, "", &id.value())?;
            next += 1;
        }
        std::thread::sleep(Duration::from_millis(chance.below(40)));
    }
    Ok(())
}

/// Waits for the acknowledgements of all that was sent.
fn acknowledged(producer: &TestProducer) -> Result<Vec<Plain>> {
    producer.flush(PATIENCE).context("plain records")?;
    let mut all = Vec::new();
    for report in producer.context().all() {
        ensure!(report.error.is_none(), "{report:?}");
        let id = Id::of_value(&report.value).context("its own value")?;
        let (partition, offset) = report.place;
        all.push(Plain {
            write: Write {
                id,
                partition,
                source: None,
            },
            offset: Some(offset),
        });
    }
    Ok(all)
}
