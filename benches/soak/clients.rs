//! The clients of the soak: an idempotent producer at a steady rate, a consumer that stays, and one
//! that comes and goes, so that the group is never long at rest.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use workload::process::Error;

const PLAIN: &str = "soak-plain";
const COMPACTED: &str = "soak-compacted";
const PARTITIONS: i32 = 8;
const KEYS: u64 = 10_000;
/// Records in a hundredth of a second.
const BURST: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the guest stays in the group.
const STAY: Duration = Duration::from_secs(4);

/// What happened so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Records sent.
    pub produced: u64,
    /// Records received by the group.
    pub consumed: u64,
    /// Times that a member came.
    pub rebalances: u64,
}

impl Counts {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            produced: self.produced + other.produced,
            consumed: self.consumed + other.consumed,
            rebalances: self.rebalances + other.rebalances,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    produced: AtomicU64,
    consumed: AtomicU64,
    rebalances: AtomicU64,
}

/// The clients on their threads.
pub struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Clients {
    /// Starts them all.
    pub fn start(bootstrap: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for work in [produce, stay, visit] {
            let (shared, bootstrap) = (Arc::clone(&shared), bootstrap.to_owned());
            threads.push(std::thread::spawn(move || work(&bootstrap, &shared)));
        }
        Self { shared, threads }
    }

    /// Since the start of these clients.
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            produced: read(&self.shared.produced),
            consumed: read(&self.shared.consumed),
            rebalances: read(&self.shared.rebalances),
        }
    }

    /// Ends them all.
    pub fn finish(self) -> Result<Counts, Error> {
        self.shared.over.store(true, Ordering::Relaxed);
        let counts = self.counts();
        for thread in self.threads {
            thread.join().map_err(|_| "a client panicked")??;
        }
        Ok(counts)
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// A topic that forgets what is old, and one that is compacted.
pub fn make_topics(bootstrap: &str) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let plain = NewTopic::new(PLAIN, PARTITIONS, TopicReplication::Fixed(1))
        .set("segment.bytes", "1048576")
        .set("retention.bytes", "8388608");
    let compacted = NewTopic::new(COMPACTED, PARTITIONS, TopicReplication::Fixed(1))
        .set("segment.bytes", "1048576")
        .set("cleanup.policy", "compact")
        .set("min.cleanable.dirty.ratio", "0.1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let made = runtime.block_on(admin.create_topics([&plain, &compacted], &AdminOptions::new()))?;
    for made in made {
        made.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

fn produce(bootstrap: &str, shared: &Shared) -> Result<(), Error> {
    let producer: BaseProducer = config(bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()?;
    let value = "v".repeat(200);
    let mut number: u64 = 0;
    while !shared.over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            number += 1;
            let topic = if number.is_multiple_of(2) {
                PLAIN
            } else {
                COMPACTED
            };
            // Spread over the keys without order.
            let key = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS).to_string();
            let record = BaseRecord::to(topic).key(&key).payload(&value);
            // A full queue is the broker's back-pressure: the record is left out.
            if producer.send(record).is_ok() {
                shared.produced.fetch_add(1, Ordering::Relaxed);
            }
        }
        producer.poll(Duration::from_millis(10));
    }
    Ok(producer.flush(PATIENCE)?)
}

fn member(bootstrap: &str) -> Result<BaseConsumer, Error> {
    let consumer: BaseConsumer = config(bootstrap)
        .set("group.id", "soak")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[PLAIN, COMPACTED])?;
    Ok(consumer)
}

fn follow(consumer: &BaseConsumer, shared: &Shared, until: impl Fn() -> bool) {
    let mut uncommitted = 0;
    while !until() {
        if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
            shared.consumed.fetch_add(1, Ordering::Relaxed);
            uncommitted += 1;
        }
        if uncommitted >= 500 {
            uncommitted = 0;
            // One that fails in a rebalance is made up for by the next.
            let _ = consumer.commit_consumer_state(CommitMode::Async);
        }
    }
}

fn stay(bootstrap: &str, shared: &Shared) -> Result<(), Error> {
    let consumer = member(bootstrap)?;
    follow(&consumer, shared, || shared.over.load(Ordering::Relaxed));
    Ok(())
}

fn visit(bootstrap: &str, shared: &Shared) -> Result<(), Error> {
    while !shared.over.load(Ordering::Relaxed) {
        let consumer = member(bootstrap)?;
        shared.rebalances.fetch_add(1, Ordering::Relaxed);
        let came = Instant::now();
        follow(&consumer, shared, || {
            came.elapsed() > STAY || shared.over.load(Ordering::Relaxed)
        });
    }
    Ok(())
}
