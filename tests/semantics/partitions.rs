//! Partitions can be added, never taken away; keyed records keep going to partitions that exist.
use anyhow::Result;
use harness::{Broker, Options, PATIENCE, rd, unique};
use rdkafka::admin::NewPartitions;
use rdkafka::consumer::Consumer;
use rdkafka::metadata::MetadataTopic;

#[test]
fn partitions_are_added_and_used() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("grown");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    rd::produce(broker.bootstrap(), &topic, 0, &["before"])?;
    let admin = rd::admin(broker.bootstrap())?;
    let grow = |count| {
        let wanted = NewPartitions::new(&topic, count);
        rd::block_on(admin.create_partitions([&wanted], &rd::admin_options()))
    };
    assert!(grow(4)??[0].is_ok());
    assert!(grow(2)??[0].is_err(), "fewer than there are");
    assert!(grow(4)??[0].is_err(), "as many as there are");
    for partition in 1..4 {
        rd::produce(broker.bootstrap(), &topic, partition, &["after"])?;
    }
    broker.kill9()?;
    broker.restart()?;
    let consumer = rd::consumer(broker.bootstrap(), &unique("grown"), &[])?;
    let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
    assert_eq!(metadata.topics()[0].partitions().len(), 4);
    consumer.subscribe(&[&topic])?;
    let mut values = rd::values(&rd::take(&consumer, 4)?);
    values.sort();
    assert_eq!(values, ["after", "after", "after", "before"]);
    Ok(())
}

#[test]
fn all_topics_are_told_to_a_client_that_asks_for_all() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topics = [unique("one"), unique("two")];
    for topic in &topics {
        rd::create_topic(broker.bootstrap(), topic, 2, &[])?;
    }
    let consumer = rd::consumer(broker.bootstrap(), &unique("all"), &[])?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let told: Vec<&str> = metadata.topics().iter().map(MetadataTopic::name).collect();
    assert!(
        topics.iter().all(|topic| told.contains(&topic.as_str())),
        "{told:?}"
    );
    Ok(())
}
