//! kill -9 at random moments under a producer, a consumer group and compaction.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::random::Random;
use harness::{Broker, Options, PATIENCE, rd, unique};
use rdkafka::Message;
use rdkafka::consumer::Consumer;

use crate::commits::committed;
use crate::followers::Followers;
use crate::load::{Load, PARTITIONS, Sent, Topics, is_tombstone, key_of};

#[test]
fn acknowledged_records_are_there_once_and_in_order() -> Result<()> {
    survive("flush=commit", Options::default(), cycles(25)?)
}

#[test]
fn the_page_cache_outlives_the_process() -> Result<()> {
    survive(
        "flush=os",
        Options::default().set("flush", "os"),
        cycles(10)?,
    )
}

/// How often to kill.
fn cycles(in_general: u64) -> Result<u64> {
    let Ok(wanted) = std::env::var("KLAMM_CRASH_CYCLES") else {
        return Ok(in_general);
    };
    wanted
        .parse()
        .with_context(|| format!("KLAMM_CRASH_CYCLES={wanted}"))
}

fn survive(what: &str, options: Options, cycles: u64) -> Result<()> {
    let mut chance = Random::announced(what);
    let options = options
        .set("log.cleaner.backoff.ms", "100")
        .set("log.retention.check.interval.ms", "500");
    let mut broker = Broker::start(options)?;
    let topics = make_topics(&broker)?;
    let group = unique("followers");
    let load = Load::start(broker.bootstrap(), &topics, chance.next_number())?;
    let followers = Followers::start(broker.bootstrap(), &group, &topics)?;
    let mut seen = vec![-1; PARTITIONS as usize];
    for cycle in 0..cycles {
        std::thread::sleep(Duration::from_millis(50 + chance.below(1_950)));
        let answered = followers.committed();
        broker.kill9()?;
        if chance.below(5) == 0 {
            // Once more while it looks at what the first kill left.
            broker.begin_restart()?;
            std::thread::sleep(Duration::from_millis(chance.below(30)));
            broker.kill9()?;
        }
        broker.restart()?;
        let now = committed(&broker, &group, &topics.plain, PARTITIONS)?;
        for (partition, offset) in now.iter().enumerate() {
            let least = seen[partition].max(answered[partition]);
            // Nothing committed is told as -1 here and as 0 by the followers.
            ensure!(
                *offset >= least || least == 0,
                "cycle {cycle}: partition {partition} is at {offset} after {least}"
            );
        }
        seen = now;
    }
    let acknowledged = load.acknowledged();
    let sent = load.finish()?;
    followers.finish(&sent.plain)?;
    eprintln!("{what}: {cycles} kills, {acknowledged} records acknowledged before the last start");
    ensure!(acknowledged > 100 * cycles, "only {acknowledged} records");
    check_plain(&broker, &topics, &sent)?;
    check_compacted(&broker, &topics, &sent)?;
    broker.stop_and_check_logs()
}

fn make_topics(broker: &Broker) -> Result<Topics> {
    let topics = Topics {
        plain: unique("plain"),
        compacted: unique("compacted"),
    };
    let at = broker.bootstrap();
    rd::create_topic(
        at,
        &topics.plain,
        PARTITIONS,
        &[("segment.bytes", "100000")],
    )?;
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "20000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "1000"),
    ];
    rd::create_topic(at, &topics.compacted, 1, &configs)?;
    Ok(topics)
}

fn check_plain(broker: &Broker, topics: &Topics, sent: &Sent) -> Result<()> {
    for (partition, count) in sent.plain.iter().enumerate() {
        let read = rd::read_all(broker.bootstrap(), &topics.plain, partition as i32, 0)?;
        ensure!(
            read.len() as u64 == *count,
            "partition {partition}: {} records of {count}",
            read.len()
        );
        for (place, (offset, number)) in read.iter().enumerate() {
            ensure!(
                *offset == place as i64 && *number == place.to_string(),
                "partition {partition}: {number} at offset {offset}, place {place}"
            );
        }
    }
    Ok(())
}

/// Each record that is left is the one that was sent, and the last one of each key is left.
fn check_compacted(broker: &Broker, topics: &Topics, sent: &Sent) -> Result<()> {
    let consumer = rd::reader(broker.bootstrap(), &topics.compacted, 0, 0)?;
    let (_, high) = consumer.fetch_watermarks(&topics.compacted, 0, PATIENCE)?;
    ensure!(
        high == sent.compacted as i64,
        "{high} of {}",
        sent.compacted
    );
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    let (mut next, mut left) = (0, 0);
    while consumer.position()?.elements()[0].offset().to_raw() < Some(high) {
        let message = match consumer.poll(Duration::from_secs(10)) {
            Some(message) => message?,
            None => break,
        };
        let number = message.offset() as u64;
        ensure!(number >= next, "offset {number} after {next} was due");
        next = number + 1;
        left += 1;
        let key = String::from_utf8_lossy(message.key().context("a key")?).into_owned();
        ensure!(key == key_of(number), "key {key} at offset {number}");
        ensure!(
            message.payload().is_none() == is_tombstone(number),
            "value at {number}"
        );
        ensure!(message.payload().is_none() || rd::text(&message) == number.to_string());
        latest.insert(key, number);
    }
    let last: BTreeMap<String, u64> = (0..sent.compacted).map(|n| (key_of(n), n)).collect();
    for (key, number) in last {
        let found = latest.get(&key).copied();
        // A tombstone may be gone, with all that it deleted.
        let gone = is_tombstone(number) && found.is_none();
        ensure!(
            found == Some(number) || gone,
            "{key}: {found:?} instead of {number}"
        );
    }
    eprintln!("compacted: {left} of {} records are left", sent.compacted);
    Ok(())
}
