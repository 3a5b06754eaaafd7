//! Stopping and starting: SIGTERM ends within a bound whatever is open, nothing acknowledged is
//! lost, and a data folder belongs to one broker.
use std::time::Duration;

use anyhow::Result;
use harness::{Batch, Broker, Options, Program, ask, rd, unique};
use kafka_protocol::messages::MetadataRequest;

/// Longer than any stop should take, shorter than the fetch that is parked meanwhile.
const BOUND: Duration = Duration::from_secs(30);

#[test]
fn sigterm_ends_the_process_whatever_is_open() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("stopped");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for nth in 0..20 {
        let answer = wire.produce(&topic, Batch::of(&["a", "b"]).bytes())?;
        assert_eq!((answer.error_code, answer.base_offset), (0, nth * 2));
    }
    let mut parked = broker.wire()?;
    parked.send(12, &ask::fetch(&topic, 40).with_max_wait_ms(600_000))?;
    let _idle: Vec<_> = (0..50).map(|_| broker.wire()).collect::<Result<_>>()?;
    let mut half_sent = broker.wire()?;
    half_sent.send_raw(&[0, 0, 1, 0, 0, 3])?;
    broker.terminate(BOUND)?;
    broker.restart()?;
    assert_eq!(rd::read_all(broker.bootstrap(), &topic, 0, 0)?.len(), 40);
    assert_eq!(rd::produce(broker.bootstrap(), &topic, 0, &["next"])?, [40]);
    Ok(())
}

#[test]
fn acknowledged_records_survive_kill_9() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("acknowledged");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let mut sent = Vec::new();
    for round in 0..3 {
        for acks in ["1", "all"] {
            let producer = rd::producer(broker.bootstrap(), &[("acks", acks)])?;
            for nth in 0..100 {
                let value = format!("{round} {acks} {nth}");
                rd::send(&producer, &topic, 0, "key", &value)?;
                sent.push(value);
            }
            rdkafka::producer::Producer::flush(&producer, harness::PATIENCE)?;
        }
        broker.kill9()?;
        broker.restart()?;
        let read = rd::read_all(broker.bootstrap(), &topic, 0, 0)?;
        assert!(
            read.iter().map(|(_, value)| value).eq(&sent),
            "round {round}"
        );
    }
    Ok(())
}

#[test]
fn cluster_and_broker_keep_their_ids() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let before = broker.wire()?.call(12, &request)?;
    assert!(before.cluster_id.as_ref().is_some_and(|id| !id.is_empty()));
    broker.terminate(BOUND)?;
    broker.restart()?;
    let after = broker.wire()?.call(12, &request)?;
    assert_eq!(before.cluster_id, after.cluster_id);
    assert_eq!(before.brokers, after.brokers);
    let ids: Vec<_> = after.brokers.iter().map(|broker| broker.node_id).collect();
    assert!(
        ids.contains(&after.controller_id),
        "the controller is a live broker"
    );
    Ok(())
}

#[test]
fn a_second_broker_on_the_same_folder_says_why_it_will_not_start() -> Result<()> {
    // Not a promise of Apache Kafka, whose second node damages the first one's metadata log.
    let broker = Broker::launch(Program::Klamm, Options::default())?;
    let again = Options::default().data_dir(broker.data_dir());
    let (status, log) = Broker::refusal(Program::Klamm, again)?;
    assert!(!status.success());
    assert!(
        log.to_lowercase().contains("lock"),
        "the log does not tell: {log}"
    );
    let mut wire = broker.wire()?;
    wire.create_topic(&unique("unharmed"), 1, &[])?;
    Ok(())
}
