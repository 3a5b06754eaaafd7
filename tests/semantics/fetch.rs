//! Fetch: whole batches, from the one that holds the offset; at least one, whatever the limits.
use anyhow::Result;
use harness::talk::batches;
use harness::{Batch, Broker, Options, Wire, ask, rd, unique};

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A topic with ten batches of five records each.
fn filled(name: &str) -> Result<(Broker, Wire, String)> {
    let broker = Broker::start(Options::default())?;
    let topic = unique(name);
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for _ in 0..10 {
        let answer = wire.produce(&topic, Batch::of(&["a", "b", "c", "d", "e"]).bytes())?;
        assert_eq!(answer.error_code, 0, "{answer:?}");
    }
    Ok((broker, wire, topic))
}

#[test]
fn a_fetch_in_the_middle_of_a_batch_gives_the_whole_batch() -> Result<()> {
    let (broker, mut wire, topic) = filled("middle")?;
    for offset in 0..50 {
        let partition = wire.fetch(&ask::fetch(&topic, offset))?;
        assert_eq!(partition.error_code, 0);
        assert_eq!(
            batches(&partition)?[0],
            (offset / 5 * 5, 5),
            "from offset {offset}"
        );
        assert_eq!(
            (partition.high_watermark, partition.last_stable_offset),
            (50, 50)
        );
    }
    // A client skips to the offset that it asked for.
    assert_eq!(
        rd::read_all(broker.bootstrap(), &topic, 0, 23)?[0],
        (23, "d".to_owned())
    );
    Ok(())
}

#[test]
fn one_batch_comes_whatever_the_limits() -> Result<()> {
    let (_broker, mut wire, topic) = filled("limits")?;
    let small = ask::fetch_partition(0, 7).with_partition_max_bytes(1);
    let partition = wire.fetch(&ask::fetch_many(&topic, vec![small]).with_max_bytes(1))?;
    assert_eq!(batches(&partition)?, [(5, 5)]);
    Ok(())
}

#[test]
fn limits_in_bytes_are_kept_beyond_the_first_batch() -> Result<()> {
    let (_broker, mut wire, topic) = filled("bytes")?;
    let size = Batch::of(&["a", "b", "c", "d", "e"]).bytes().len() as i32;
    let three = ask::fetch_partition(0, 0).with_partition_max_bytes(size * 3);
    let partition = wire.fetch(&ask::fetch_many(&topic, vec![three.clone()]))?;
    assert_eq!(batches(&partition)?, [(0, 5), (5, 5), (10, 5)]);
    let all = ask::fetch_partition(0, 0);
    let partition = wire.fetch(&ask::fetch_many(&topic, vec![all]).with_max_bytes(size * 2))?;
    assert_eq!(batches(&partition)?, [(0, 5), (5, 5)]);
    Ok(())
}

#[test]
fn the_end_is_empty_and_beyond_it_is_out_of_range() -> Result<()> {
    let (_broker, mut wire, topic) = filled("end")?;
    let at_end = wire.fetch(&ask::fetch(&topic, 50))?;
    assert_eq!(
        (
            at_end.error_code,
            at_end.records.map(|records| records.len())
        ),
        (0, Some(0))
    );
    for offset in [51, -1, i64::MAX] {
        let beyond = wire.fetch(&ask::fetch(&topic, offset))?;
        assert_eq!(beyond.error_code, OFFSET_OUT_OF_RANGE, "offset {offset}");
    }
    Ok(())
}

#[test]
fn all_versions_give_the_same_records() -> Result<()> {
    let (_broker, mut wire, topic) = filled("versions")?;
    let newest = wire.fetch(&ask::fetch(&topic, 0))?;
    for version in 4..=12 {
        let request = ask::fetch(&topic, 0).with_session_epoch(if version < 7 { 0 } else { -1 });
        let response = wire.call(version, &request.clone())?;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.records, newest.records, "version {version}");
    }
    Ok(())
}
