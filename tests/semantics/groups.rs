//! Groups: members join, leave and die; every partition has exactly one owner again, soon.
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, rd, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Instant;

const PARTITIONS: i32 = 6;
const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER_ID: i16 = 25;

pub(crate) fn options() -> Options {
    Options::default().set("group.min.session.timeout.ms", "500")
}

/// A member that would notice the death of others after about a second.
pub(crate) fn member(
    broker: &Broker,
    group: &str,
    topic: &str,
    extra: &[(&str, &str)],
) -> Result<BaseConsumer> {
    let mut all = vec![
        ("session.timeout.ms", "1500"),
        ("heartbeat.interval.ms", "100"),
    ];
    all.extend_from_slice(extra);
    let consumer = rd::consumer(broker.bootstrap(), group, &all)?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

pub(crate) fn owned(member: &BaseConsumer) -> Result<BTreeSet<i32>> {
    let assignment = member.assignment()?;
    Ok(assignment
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect())
}

/// Polls all members until each owns its even share and together they own everything once.
pub(crate) fn settle(members: &[&BaseConsumer]) -> Result<Vec<BTreeSet<i32>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for member in members {
            // Messages do not matter here, and errors pass.
            let _ = member.poll(Duration::from_millis(10));
        }
        let shares: Vec<BTreeSet<i32>> = members
            .iter()
            .map(|member| owned(member))
            .collect::<Result<_>>()?;
        let even = shares
            .iter()
            .all(|share| share.len() == PARTITIONS as usize / members.len());
        let union: BTreeSet<i32> = shares.iter().flatten().copied().collect();
        if even && union.len() == PARTITIONS as usize {
            return Ok(shares);
        }
        ensure!(
            Instant::now() < deadline,
            "the group does not settle: {shares:?}"
        );
    }
}

fn joins_and_leaves(strategy: &str) -> Result<()> {
    let broker = Broker::start(options())?;
    let topic = unique("rebalanced");
    let group = unique("rebalanced");
    rd::create_topic(broker.bootstrap(), &topic, PARTITIONS, &[])?;
    let strategy = [("partition.assignment.strategy", strategy)];
    let first = member(&broker, &group, &topic, &strategy)?;
    settle(&[&first])?;
    let second = member(&broker, &group, &topic, &strategy)?;
    settle(&[&first, &second])?;
    let third = member(&broker, &group, &topic, &strategy)?;
    settle(&[&first, &second, &third])?;
    // Leaves in good order.
    drop(second);
    settle(&[&first, &third])?;
    drop(first);
    settle(&[&third])?;
    Ok(())
}

#[test]
fn members_join_and_leave_with_range() -> Result<()> {
    joins_and_leaves("range")
}

#[test]
fn members_join_and_leave_with_cooperative_sticky() -> Result<()> {
    joins_and_leaves("cooperative-sticky")
}

#[test]
fn a_member_that_dies_is_replaced_after_its_session() -> Result<()> {
    let broker = Broker::start(options())?;
    let topic = unique("died");
    let group = unique("died");
    rd::create_topic(broker.bootstrap(), &topic, PARTITIONS, &[])?;
    let living = member(&broker, &group, &topic, &[])?;
    settle(&[&living])?;
    // A member in another process, so that it can be killed without a word.
    let arguments = ["-G", &group, "-X", "session.timeout.ms=1500", &topic];
    let mut kcat = std::process::Command::new("kcat");
    kcat.env_remove("LD_LIBRARY_PATH");
    kcat.args(["-b", broker.bootstrap()]).args(arguments);
    let folder = tempfile::TempDir::new()?;
    let mut dying = harness::process::Process::start(kcat, &folder.path().join("log"))?;
    let deadline = Instant::now() + PATIENCE;
    while owned(&living)?.len() != 3 {
        let _ = living.poll(Duration::from_millis(10));
        ensure!(
            Instant::now() < deadline,
            "the second member gets nothing: {}",
            dying.log()
        );
    }
    dying.kill9()?;
    settle(&[&living])?;
    Ok(())
}

#[test]
fn a_group_survives_kill_9_of_the_broker() -> Result<()> {
    let mut broker = Broker::start(options())?;
    let topic = unique("outlived");
    let group = unique("outlived");
    rd::create_topic(broker.bootstrap(), &topic, PARTITIONS, &[])?;
    let first = member(&broker, &group, &topic, &[])?;
    let second = member(&broker, &group, &topic, &[])?;
    settle(&[&first, &second])?;
    broker.kill9()?;
    broker.restart()?;
    for partition in 0..PARTITIONS {
        rd::produce(broker.bootstrap(), &topic, partition, &["after"])?;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeSet::new();
    while seen.len() < PARTITIONS as usize {
        for member in [&first, &second] {
            if let Some(Ok(message)) = member.poll(Duration::from_millis(10)) {
                seen.insert(rdkafka::Message::partition(&message));
            }
        }
        ensure!(
            Instant::now() < deadline,
            "only partitions {seen:?} are read"
        );
    }
    settle(&[&first, &second])?;
    Ok(())
}

#[test]
fn records_are_neither_lost_nor_skipped_over_rebalances() -> Result<()> {
    let broker = Broker::start(options())?;
    let topic = unique("complete");
    let group = unique("complete");
    rd::create_topic(broker.bootstrap(), &topic, PARTITIONS, &[])?;
    for partition in 0..PARTITIONS {
        let values: Vec<String> = (0..50).map(|nth| format!("{partition}/{nth}")).collect();
        rd::produce(broker.bootstrap(), &topic, partition, &values)?;
    }
    // Stored by hand: a closing client stores what it throws away.
    let auto = [
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "50"),
        ("enable.auto.offset.store", "false"),
    ];
    let mut seen = BTreeSet::new();
    let mut members = vec![member(&broker, &group, &topic, &auto)?];
    let mut joined = 1;
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < PARTITIONS as usize * 50 {
        for member in &members {
            if let Some(Ok(message)) = member.poll(Duration::from_millis(5)) {
                seen.insert(rd::text(&message));
                // Refused if the partition is being taken away: then another member reads it again.
                let _ = member.store_offset_from_message(&message);
            }
        }
        // A second member after 60 records, a third after 120; the first leaves after 200.
        match (joined, seen.len()) {
            (1, 60..) | (2, 120..) => {
                members.push(member(&broker, &group, &topic, &auto)?);
                joined += 1;
            }
            (3, 200..) if members.len() == 3 => drop(members.remove(0)),
            _ => {}
        }
        ensure!(
            Instant::now() < deadline,
            "only {} records were seen",
            seen.len()
        );
    }
    Ok(())
}

#[test]
fn a_sync_has_to_name_its_protocol_from_v5_on() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let request = kafka_protocol::messages::SyncGroupRequest::default()
        .with_group_id(harness::ask::group("unnamed"))
        .with_member_id(harness::ask::text("nobody"));
    let mut code = |version| -> Result<i16> {
        harness::talk::settled(|| {
            let response = wire.call(version, &request)?;
            Ok((response.error_code, response.error_code))
        })
    };
    assert_eq!(code(4)?, UNKNOWN_MEMBER_ID);
    assert_eq!(code(5)?, INCONSISTENT_GROUP_PROTOCOL);
    Ok(())
}
