//! Looking up offsets and epochs.
use anyhow::Result;
use harness::{Batch, ask};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest};

use crate::pair::Pair;

#[test]
fn list_offsets() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        wire.create_topic("empty", 1, &[])?;
        wire.create_topic("filled", 1, &[("retention.ms", "-1")])?;
        wire.produce(
            "filled",
            Batch::of(&["a", "b", "c"]).at(&[100, 300, 200]).bytes(),
        )?;
        wire.produce("filled", Batch::of(&["d", "e"]).at(&[250, 300]).bytes())
    })?;
    for topic in ["empty", "filled"] {
        for timestamp in [-1, -2, 0, 100, 150, 201, 300, 301, i64::MAX] {
            for version in [1, 4, 6, 7, 10] {
                pair.ask(
                    &format!("{topic} at {timestamp}"),
                    version,
                    &ask::list_offsets(topic, timestamp),
                )?;
            }
        }
        for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9), (-6, 10)] {
            for version in since..=10 {
                pair.ask(
                    &format!("{topic} at {timestamp}"),
                    version,
                    &ask::list_offsets(topic, timestamp),
                )?;
            }
            let early = &ask::list_offsets(topic, timestamp);
            pair.ask(&format!("{topic} at {timestamp}, too early"), 4, early)?;
        }
        let committed = ask::list_offsets(topic, -1).with_isolation_level(1);
        pair.ask(&format!("{topic}, read committed"), 8, &committed)?;
    }
    pair.ask("an unknown topic", 8, &ask::list_offsets("unknown", -1))?;
    let mut request = ask::list_offsets("filled", -1);
    request.topics[0].partitions[0].partition_index = 9;
    pair.ask("an unknown partition", 8, &request)?;
    request = ask::list_offsets("filled", -1);
    for epoch in [0, 1, 7] {
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        pair.ask("a leader epoch", 8, &request)?;
    }
    pair.verdict()
}

#[test]
fn offset_for_leader_epoch() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        wire.create_topic("epochs", 1, &[])?;
        wire.produce("epochs", Batch::of(&["a", "b", "c"]).bytes())
    })?;
    let ask = |topic: &str, current, epoch| {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(ask::topic(topic))
            .with_partitions(vec![partition]);
        OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic])
    };
    for version in 2..=4 {
        pair.ask("the current epoch", version, &ask("epochs", -1, 0))?;
    }
    pair.ask("a later epoch", 4, &ask("epochs", -1, 5))?;
    pair.ask("no epoch", 4, &ask("epochs", -1, -1))?;
    pair.ask("a current epoch from the future", 4, &ask("epochs", 9, 0))?;
    pair.ask("an unknown topic", 4, &ask("unknown", -1, 0))?;
    pair.verdict()
}
