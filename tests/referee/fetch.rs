//! Fetches that ask for what is not there.
use anyhow::Result;
use harness::{Batch, ask};
use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use crate::pair::Pair;

/// Batches carry the leader epoch and a base offset, which are compared; the bytes are the same.
#[test]
fn fetches() -> Result<()> {
    let mut pair = Pair::start()?;
    let batch = Batch::of(&["a", "b", "c"]).bytes();
    pair.both(|wire| {
        wire.create_topic("filled", 2, &[])?;
        wire.produce("filled", batch.clone())?;
        wire.produce("filled", batch.clone())
    })?;
    for offset in [0, 1, 3, 6] {
        for version in [4, 5, 7, 11, 12] {
            let epoch = if version < 7 { 0 } else { -1 };
            let request = ask::fetch("filled", offset).with_session_epoch(epoch);
            pair.ask("an offset that is there", version, &request)?;
        }
    }
    for offset in [7, -1, i64::MIN, i64::MAX] {
        pair.ask("an offset out of range", 12, &ask::fetch("filled", offset))?;
    }
    pair.ask("an unknown topic", 12, &ask::fetch("unknown", 0))?;
    let elsewhere = ask::fetch_many("filled", vec![ask::fetch_partition(9, 0)]);
    pair.ask("an unknown partition", 12, &elsewhere)?;
    let mut by_id = ask::fetch("", 0);
    by_id.topics[0].topic_id = Uuid::from_u128(0x00ab_cdef);
    pair.ask("an unknown id", 13, &by_id)?;
    by_id.topics[0].topic_id = Uuid::nil();
    pair.ask("no id", 13, &by_id)?;
    for epoch in [0, 1, 5] {
        let part = ask::fetch_partition(0, 0).with_current_leader_epoch(epoch);
        pair.ask("a leader epoch", 12, &ask::fetch_many("filled", vec![part]))?;
        let part = ask::fetch_partition(0, 3).with_last_fetched_epoch(epoch);
        pair.ask(
            "a last fetched epoch",
            12,
            &ask::fetch_many("filled", vec![part]),
        )?;
    }
    pair.ask(
        "read committed",
        12,
        &ask::fetch("filled", 0).with_isolation_level(1),
    )?;
    pair.ask("no bytes", 12, &ask::fetch("filled", 0).with_max_bytes(0))?;
    let none = ask::fetch_partition(0, 0).with_partition_max_bytes(0);
    pair.ask(
        "no bytes of the partition",
        12,
        &ask::fetch_many("filled", vec![none]),
    )?;
    pair.ask(
        "a negative wait",
        12,
        &ask::fetch("filled", 6).with_max_wait_ms(-5),
    )?;
    pair.ask(
        "a negative minimum",
        12,
        &ask::fetch("filled", 6).with_min_bytes(-5),
    )?;
    let twice = vec![ask::fetch_partition(0, 0), ask::fetch_partition(1, 0)];
    pair.ask("two partitions", 12, &ask::fetch_many("filled", twice))?;
    let replica = ask::fetch("filled", 0).with_replica_id(BrokerId(-2));
    pair.ask("a debugging replica", 12, &replica)?;
    pair.verdict()
}

#[test]
fn sessions() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("session", 1, &[]))?;
    let session = |id, epoch| {
        ask::fetch("session", 0)
            .with_session_id(id)
            .with_session_epoch(epoch)
    };
    pair.ask("an unknown session", 12, &session(12_345, 1))?;
    pair.ask("an unknown session, closing", 12, &session(12_345, -1))?;
    pair.ask("an unknown session, opening", 12, &session(12_345, 0))?;
    pair.ask("no session at an epoch", 12, &session(0, 5))?;
    pair.ask("a new session", 12, &session(0, 0))?;
    pair.ask(
        "a new session of nothing",
        12,
        &session(0, 0).with_topics(vec![]),
    )?;
    pair.ask(
        "no session, no topics",
        12,
        &session(0, -1).with_topics(vec![]),
    )?;
    pair.verdict()
}
