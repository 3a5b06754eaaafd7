//! Making, growing, cutting and deleting topics.
use anyhow::Result;
use harness::{Batch, ask};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest,
};
use uuid::Uuid;

use crate::pair::Pair;

/// Each has some topic configs of its own; the ones that both have are compared elsewhere.
const CONFIGS: &[&str] = &[
    "configs",
    "name",
    "value",
    "read_only",
    "config_source",
    "is_sensitive",
];

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment::default()
        .with_partition_index(partition)
        .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
}

#[test]
fn create_topics() -> Result<()> {
    let mut pair = Pair::start()?;
    let plain = |name: &str| ask::new_topic(name, 1, &[]);
    let assigned = |name: &str, assignments| {
        plain(name)
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments)
    };
    let mut create = |question: &str, topics: Vec<CreatableTopic>| -> Result<()> {
        // The names of the topics are compared by the older version, which has no configs.
        pair.ask_except(question, 7, &ask::create_topics(topics), CONFIGS)?;
        Ok(())
    };
    create("a plain topic", vec![plain("plain")])?;
    create("an existing one", vec![plain("plain")])?;
    create(
        "defaults",
        vec![
            plain("d")
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        ],
    )?;
    create(
        "replication factor 3",
        vec![plain("r3").with_replication_factor(3)],
    )?;
    create(
        "replication factor 0",
        vec![plain("r0").with_replication_factor(0)],
    )?;
    create("no partitions", vec![plain("p0").with_num_partitions(0)])?;
    create("-5 partitions", vec![plain("p-5").with_num_partitions(-5)])?;
    create(
        "an unknown config",
        vec![ask::new_topic("c", 1, &[("no.such", "1")])],
    )?;
    create(
        "a wrong value",
        vec![ask::new_topic("c", 1, &[("retention.ms", "soon")])],
    )?;
    create("an illegal name", vec![plain("not/legal")])?;
    create("an empty name", vec![plain("")])?;
    create("two dots", vec![plain("..")])?;
    create("a name with a dot", vec![plain("a.b")])?;
    create("a name that collides with it", vec![plain("a_b")])?;
    create("a topic twice", vec![plain("twice"), plain("twice")])?;
    create("one good, one bad", vec![plain("good"), plain("bad/")])?;
    create(
        "assigned by hand",
        vec![assigned("by-hand", vec![assignment(0, &[1])])],
    )?;
    let both = assigned("both", vec![assignment(0, &[1])]).with_num_partitions(1);
    create("assigned and counted", vec![both])?;
    create(
        "assigned to nobody",
        vec![assigned("nobody", vec![assignment(0, &[9])])],
    )?;
    create(
        "assigned with a gap",
        vec![assigned("gap", vec![assignment(1, &[1])])],
    )?;
    create(
        "assigned twice",
        vec![assigned("dup", vec![assignment(0, &[1, 1])])],
    )?;
    create(
        "assigned to an empty list",
        vec![assigned("empty", vec![assignment(0, &[])])],
    )?;
    let only = ask::create_topics(vec![plain("only")]).with_validate_only(true);
    pair.ask_except("validated only", 7, &only, CONFIGS)?;
    pair.ask_except("validated only, again", 7, &only, CONFIGS)?;
    for version in 2..=6 {
        let request = ask::create_topics(vec![plain("plain"), plain(&format!("v{version}"))]);
        pair.ask_except("one there, one not", version, &request, CONFIGS)?;
    }
    pair.verdict()
}

#[test]
fn create_partitions() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("grown", 3, &[]))?;
    let grow = |name: &str, count| {
        CreatePartitionsTopic::default()
            .with_name(ask::topic(name))
            .with_count(count)
            .with_assignments(None)
    };
    let to = |brokers: &[i32]| {
        let brokers = brokers.iter().copied().map(BrokerId).collect();
        CreatePartitionsAssignment::default().with_broker_ids(brokers)
    };
    let questions = [
        ("fewer", grow("grown", 2)),
        ("as many", grow("grown", 3)),
        ("none", grow("grown", 0)),
        ("of an unknown topic", grow("unknown", 4)),
        (
            "too few assignments",
            grow("grown", 5).with_assignments(Some(vec![to(&[1])])),
        ),
        (
            "assigned to nobody",
            grow("grown", 4).with_assignments(Some(vec![to(&[9])])),
        ),
        (
            "assigned",
            grow("grown", 4).with_assignments(Some(vec![to(&[1])])),
        ),
        ("more", grow("grown", 6)),
    ];
    for (question, topic) in questions {
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        pair.ask(question, 3, &request.clone().with_validate_only(true))?;
        pair.ask(question, 3, &request)?;
    }
    let twice = CreatePartitionsRequest::default()
        .with_topics(vec![grow("grown", 7), grow("grown", 8)])
        .with_timeout_ms(30_000);
    pair.ask("a topic twice", 3, &twice)?;
    pair.verdict()
}

#[test]
fn delete_topics() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("doomed", 1, &[]))?;
    let delete = |topics| {
        DeleteTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(30_000)
    };
    let named = |name: &str| DeleteTopicState::default().with_name(Some(ask::topic(name)));
    let by_id = |id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let unknown = Uuid::from_u128(0x00ab_cdef);
    pair.ask("an unknown name", 6, &delete(vec![named("unknown")]))?;
    pair.ask("an unknown id", 6, &delete(vec![by_id(unknown)]))?;
    pair.ask("neither", 6, &delete(vec![by_id(Uuid::nil())]))?;
    pair.ask(
        "both",
        6,
        &delete(vec![named("doomed").with_topic_id(unknown)]),
    )?;
    pair.ask("twice", 6, &delete(vec![named("doomed"), named("doomed")]))?;
    pair.ask("once", 6, &delete(vec![named("doomed")]))?;
    let old = DeleteTopicsRequest::default()
        .with_topic_names(vec![ask::topic("unknown")])
        .with_timeout_ms(30_000);
    pair.ask("an unknown name, older", 3, &old)?;
    pair.verdict()
}

#[test]
fn delete_records() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        wire.create_topic("cut", 1, &[])?;
        wire.create_topic("kept", 1, &[("cleanup.policy", "compact")])?;
        wire.produce("cut", Batch::of(&["a", "b", "c", "d"]).bytes())
    })?;
    let cut = |name: &str, partition, offset| {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(ask::topic(name))
            .with_partitions(vec![partition]);
        DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000)
    };
    pair.ask("beyond the end", 2, &cut("cut", 0, 5))?;
    pair.ask("a wrong offset", 2, &cut("cut", 0, -5))?;
    pair.ask("in the middle of a batch", 2, &cut("cut", 0, 2))?;
    pair.ask("before the start", 2, &cut("cut", 0, 1))?;
    pair.ask("up to the high watermark", 2, &cut("cut", 0, -1))?;
    pair.ask("an unknown topic", 2, &cut("unknown", 0, 0))?;
    pair.ask("an unknown partition", 2, &cut("cut", 7, 0))?;
    pair.ask("a compacted topic", 2, &cut("kept", 0, 0))?;
    pair.verdict()
}

#[test]
fn describe_topic_partitions() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        wire.create_topic("one", 3, &[])?;
        wire.create_topic("two", 3, &[])
    })?;
    let describe = |names: &[&str], limit, cursor: Option<(&str, i32)>| {
        let names = names
            .iter()
            .map(|name| TopicRequest::default().with_name(ask::topic(name)));
        let cursor = cursor.map(|(name, partition)| {
            Cursor::default()
                .with_topic_name(ask::topic(name))
                .with_partition_index(partition)
        });
        DescribeTopicPartitionsRequest::default()
            .with_topics(names.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor)
    };
    pair.ask("two topics", 0, &describe(&["two", "one"], 2_000, None))?;
    pair.ask("all", 0, &describe(&[], 2_000, None))?;
    pair.ask("a limit", 0, &describe(&["one", "two"], 4, None))?;
    pair.ask(
        "a cursor",
        0,
        &describe(&["one", "two"], 4, Some(("two", 1))),
    )?;
    pair.ask(
        "a cursor to an unknown topic",
        0,
        &describe(&["one", "two"], 4, Some(("oz", 1))),
    )?;
    pair.ask(
        "a cursor beyond",
        0,
        &describe(&["one"], 4, Some(("one", 99))),
    )?;
    pair.ask(
        "a negative cursor",
        0,
        &describe(&["one"], 4, Some(("one", -1))),
    )?;
    pair.ask(
        "an unknown topic",
        0,
        &describe(&["unknown", "one"], 2_000, None),
    )?;
    pair.ask("an illegal name", 0, &describe(&["not legal"], 2_000, None))?;
    pair.ask("a topic twice", 0, &describe(&["one", "one"], 2_000, None))?;
    pair.ask("no limit", 0, &describe(&["one", "two"], 0, None))?;
    pair.verdict()
}
