//! The consumer group: two members that live through all restarts, read everything and commit as
//! they go.
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{eventually, rd};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use crate::load::{PARTITIONS, Topics};

/// Records after which a member commits.
const COMMIT_EVERY: u32 = 40;

/// How far the group is, by partition.
#[derive(Debug, Default)]
struct Progress {
    /// The next offset that nobody has read.
    read: [AtomicI64; PARTITIONS as usize],
    /// The highest offset whose commit was answered.
    committed: [AtomicI64; PARTITIONS as usize],
    troubles: Mutex<Vec<String>>,
}

/// The members on their threads.
pub(crate) struct Followers {
    over: Arc<AtomicBool>,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    pub(crate) fn start(bootstrap: &str, group: &str, topics: &Topics) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Progress::default());
        let mut threads = Vec::new();
        for _ in 0..2 {
            let consumer = rd::consumer(bootstrap, group, &[])?;
            consumer.subscribe(&[&topics.plain])?;
            let (over, progress) = (Arc::clone(&over), Arc::clone(&progress));
            threads.push(std::thread::spawn(move || {
                follow(&consumer, &progress, &over);
            }));
        }
        Ok(Self {
            over,
            progress,
            threads,
        })
    }

    /// The offsets whose commits were answered.
    pub(crate) fn committed(&self) -> Vec<i64> {
        let committed = self.progress.committed.iter();
        committed.map(|at| at.load(Ordering::Acquire)).collect()
    }

    /// Waits until they have read `ends` and ends them.
    pub(crate) fn finish(self, ends: &[u64]) -> Result<()> {
        let read = || -> Vec<u64> {
            let read = self.progress.read.iter();
            read.map(|at| at.load(Ordering::Acquire) as u64).collect()
        };
        let done = eventually("the group to read everything", || {
            (read() == ends).then_some(())
        });
        self.over.store(true, Ordering::Relaxed);
        let troubles = &self.progress.troubles;
        let troubles = troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        ensure!(troubles.is_empty(), "the group saw: {troubles:#?}");
        done.with_context(|| format!("read {:?} of {ends:?}", read()))?;
        for thread in self.threads {
            thread.join().ok().context("a consumer panicked")?;
        }
        Ok(())
    }
}

fn follow(consumer: &BaseConsumer, progress: &Progress, over: &AtomicBool) {
    let mut uncommitted = 0;
    while !over.load(Ordering::Relaxed) {
        // Errors say that the broker is away; the client comes back by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let (partition, offset) = (message.partition(), message.offset());
        let number = rd::text(&message);
        let next = &progress.read[partition as usize];
        let expected = next.load(Ordering::Acquire);
        let trouble = if number != offset.to_string() {
            Some(format!(
                "record {number} at offset {offset} of partition {partition}"
            ))
        } else if offset > expected {
            Some(format!(
                "offset {offset} of partition {partition} after {expected} was due"
            ))
        } else {
            None
        };
        if let Some(trouble) = trouble {
            let mut troubles = progress
                .troubles
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            troubles.push(trouble);
        }
        next.fetch_max(offset + 1, Ordering::AcqRel);
        uncommitted += 1;
        if uncommitted >= COMMIT_EVERY {
            uncommitted = 0;
            commit(consumer, progress);
        }
    }
}

/// Commits where the consumer is. A commit that fails because the broker is away is made up for by
/// the next one.
fn commit(consumer: &BaseConsumer, progress: &Progress) {
    let Ok(position) = consumer.position() else {
        return;
    };
    if consumer.commit(&position, CommitMode::Sync).is_err() {
        return;
    }
    for place in position.elements() {
        if let (Some(offset), Ok(())) = (place.offset().to_raw(), place.error()) {
            let committed = &progress.committed[place.partition() as usize];
            committed.fetch_max(offset, Ordering::AcqRel);
        }
    }
}
