//! What belongs to a view, as clients see it: its topics and its group.
use std::process::Command;

use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, ask, foreign, rd};
use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event;
use crate::life::{VIEWS, check_both, events};

#[test]
fn the_topic_of_a_view_is_closed_to_clients() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    event::produce(broker.bootstrap(), "events", &events(9, 1, 500))?;
    check_both(&broker, "events")?;
    let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
    let owned = ["user_activity", "user_activity.dlq", "__projection_commits"];
    for name in owned {
        let producer = rd::producer(broker.bootstrap(), &[])?;
        rd::send(&producer, name, 0, "key", "value")?;
        producer.flush(PATIENCE)?;
        let reports = producer.context().all();
        let error = reports.first().and_then(|report| report.error.clone());
        // Internal topics are refused to everyone, as in Kafka.
        let expected = if name.starts_with("__") {
            RDKafkaErrorCode::InvalidTopic
        } else {
            refused
        };
        ensure!(
            error == Some(KafkaError::MessageProduction(expected)),
            "{name}: {error:?}"
        );
        let marked = mark(&broker, name)?;
        ensure!(marked == expected as i16, "{name}: {marked}");
        let admin = rd::admin(broker.bootstrap())?;
        let results = rd::block_on(admin.delete_topics(&[name], &rd::admin_options()))??;
        let result = results.into_iter().next();
        ensure!(
            result == Some(Err((name.to_owned(), expected))),
            "{name}: {result:?}"
        );
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, 0, Offset::Offset(1))?;
        let result = rd::block_on(admin.delete_records(&list, &rd::admin_options()))?;
        let done = result.is_ok_and(|list| list.elements().iter().all(|it| it.error().is_ok()));
        ensure!(!done, "records of {name} were deleted");
    }
    check_both(&broker, "events")
}

/// Writes a marker that aborts, as tools do; gives the error code.
fn mark(broker: &Broker, topic: &str) -> Result<i16> {
    let topics = WritableTxnMarkerTopic::default()
        .with_name(ask::topic(topic))
        .with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default().with_topics(vec![topics]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = broker.wire()?.call(1, &request)?;
    Ok(answer.markers[0].topics[0].partitions[0].error_code)
}

#[test]
fn its_place_in_the_source_shows_as_a_group() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 3)?;
    event::produce(broker.bootstrap(), "events", &events(10, 3, 1000))?;
    check_both(&broker, "events")?;
    let ends = event::ends(broker.bootstrap(), "events")?;
    let shown = |broker: &Broker, name: &str| -> Result<()> {
        let group = format!("__projection.{name}");
        let consumer = rd::consumer(broker.bootstrap(), &group, &[])?;
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition("events", partition);
        }
        harness::eventually("the group's offsets", || {
            let found = consumer.committed_offsets(list.clone(), PATIENCE).ok()?;
            let same = found
                .elements()
                .iter()
                .all(|it| it.offset() == Offset::Offset(ends[&it.partition()].1));
            same.then_some(())
        })?;
        let groups = consumer.fetch_group_list(None, PATIENCE)?;
        ensure!(groups.groups().iter().any(|known| known.name() == group));
        Ok(())
    };
    for name in VIEWS {
        shown(&broker, name)?;
    }
    kafkas_own_tool_shows_it(&broker)?;
    broker.kill9()?;
    broker.restart()?;
    for name in VIEWS {
        shown(&broker, name)?;
    }
    Ok(())
}

fn kafkas_own_tool_shows_it(broker: &Broker) -> Result<()> {
    let mut command = Command::new("java");
    command.arg("-cp").arg(foreign::class_path()?);
    command.args([
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        broker.bootstrap(),
        "--describe",
        "--group",
        "__projection.user_activity",
    ]);
    let shown = String::from_utf8(foreign::run(&mut command, b"")?)?;
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|columns: &Vec<&str>| columns.get(1) == Some(&"events"))
        .collect();
    ensure!(rows.len() == 3, "{shown}");
    ensure!(
        rows.iter().all(|row| row[3] == row[4] && row[5] == "0"),
        "{shown}"
    );
    Ok(())
}
