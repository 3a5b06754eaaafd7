//! Looking up offsets: earliest, latest, by time, and of the largest timestamp.
use anyhow::Result;
use harness::{Batch, Broker, Options, PATIENCE, Wire, rd, unique};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

fn started(name: &str) -> Result<(Broker, Wire, String)> {
    let broker = Broker::start(Options::default())?;
    let topic = unique(name);
    let mut wire = broker.wire()?;
    // The timestamps here are ancient: retention would take the records away.
    wire.create_topic(&topic, 1, &[("retention.ms", "-1")])?;
    Ok((broker, wire, topic))
}

#[test]
fn latest_is_the_last_offset_plus_one() -> Result<()> {
    let (_broker, mut wire, topic) = started("latest")?;
    assert_eq!(wire.list_offset(&topic, LATEST)?, (0, -1, 0));
    // Not the base offset of the last batch plus one.
    wire.produce(&topic, Batch::of(&["a", "b", "c"]).bytes())?;
    assert_eq!(wire.list_offset(&topic, LATEST)?, (0, -1, 3));
    assert_eq!(wire.list_offset(&topic, EARLIEST)?, (0, -1, 0));
    assert_eq!(wire.list_offset(&topic, EARLIEST_LOCAL)?, (0, -1, 0));
    Ok(())
}

#[test]
fn a_time_finds_the_first_record_that_is_not_older() -> Result<()> {
    let (mut broker, mut wire, topic) = started("times")?;
    wire.produce(
        &topic,
        Batch::of(&["a", "b", "c"]).at(&[100, 200, 300]).bytes(),
    )?;
    wire.produce(
        &topic,
        Batch::of(&["d", "e", "f"]).at(&[250, 400, 350]).bytes(),
    )?;
    for restarted in [false, true] {
        let wanted = [
            (0, 100, 0),
            (100, 100, 0),
            (101, 200, 1),
            (201, 300, 2),
            (301, 400, 4),
        ];
        for (asked, timestamp, offset) in wanted {
            let found = wire.list_offset(&topic, asked)?;
            assert_eq!(
                found,
                (0, timestamp, offset),
                "time {asked}, restarted: {restarted}"
            );
        }
        assert_eq!(
            wire.list_offset(&topic, 401)?,
            (0, -1, -1),
            "nothing is that young"
        );
        if !restarted {
            broker.kill9()?;
            broker.restart()?;
            wire = broker.wire()?;
        }
    }
    Ok(())
}

#[test]
fn the_largest_timestamp_is_found_at_its_record() -> Result<()> {
    let (_broker, mut wire, topic) = started("largest")?;
    assert_eq!(wire.list_offset(&topic, MAX_TIMESTAMP)?, (0, -1, -1));
    wire.produce(
        &topic,
        Batch::of(&["a", "b", "c"]).at(&[100, 900, 300]).bytes(),
    )?;
    wire.produce(&topic, Batch::of(&["d", "e"]).at(&[400, 500]).bytes())?;
    assert_eq!(wire.list_offset(&topic, MAX_TIMESTAMP)?, (0, 900, 1));
    Ok(())
}

#[test]
fn a_client_seeks_by_time() -> Result<()> {
    let (broker, mut wire, topic) = started("seek")?;
    for time in [1_000, 2_000, 3_000] {
        wire.produce(
            &topic,
            Batch::of(&["a", "b"]).at(&[time, time + 500]).bytes(),
        )?;
    }
    let consumer = rd::consumer(broker.bootstrap(), &unique("seek"), &[])?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(&topic, 0, Offset::Offset(2_200))?;
    let found = consumer.offsets_for_times(asked, PATIENCE)?;
    assert_eq!(found.elements()[0].offset(), Offset::Offset(3));
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE)?, (0, 6));
    Ok(())
}
