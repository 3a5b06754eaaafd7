//! Commits: what a group committed is there after kill -9, and only that.
use anyhow::Result;
use harness::{Broker, Options, PATIENCE, eventually, rd, unique};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

fn committed(consumer: &BaseConsumer, topic: &str) -> Option<Offset> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    Some(consumer.committed_offsets(list, PATIENCE).ok()?.elements()[0].offset())
}

#[test]
fn a_group_goes_on_where_it_committed_after_kill_9() -> Result<()> {
    let mut broker = Broker::start(crate::groups::options())?;
    let topic = unique("resumed");
    let group = unique("resumed");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let numbers: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    rd::produce(broker.bootstrap(), &topic, 0, &numbers)?;
    for round in 0..3 {
        // The member of the last round did not leave; its session ends soon.
        let session = [
            ("session.timeout.ms", "1000"),
            ("heartbeat.interval.ms", "100"),
        ];
        let consumer = rd::consumer(broker.bootstrap(), &group, &session)?;
        consumer.subscribe(&[&topic])?;
        let messages = rd::take(&consumer, 10)?;
        assert_eq!(
            rd::values(&messages),
            numbers[round * 10..][..10],
            "round {round}"
        );
        let mut list = TopicPartitionList::new();
        let next = messages[9].offset() + 1;
        list.add_partition_offset(&topic, 0, Offset::Offset(next))?;
        consumer.commit(&list, CommitMode::Sync)?;
        broker.kill9()?;
        drop(consumer);
        broker.restart()?;
    }
    Ok(())
}

#[test]
fn metadata_of_a_commit_is_kept_and_the_last_commit_wins() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("noted");
    let group = unique("noted");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    // Assigned by hand: no member, no generation.
    let consumer = rd::consumer(broker.bootstrap(), &group, &[])?;
    for offset in [5, 9, 7] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset))?;
        let mut element = list.find_partition(&topic, 0).expect("just added");
        element.set_metadata(format!("note {offset}"));
        consumer.commit(&list, CommitMode::Sync)?;
    }
    broker.kill9()?;
    broker.restart()?;
    let other = rd::consumer(broker.bootstrap(), &group, &[])?;
    let mut list = TopicPartitionList::new();
    list.add_partition(&topic, 0);
    let found = eventually("the coordinator", || {
        other.committed_offsets(list.clone(), PATIENCE).ok()
    })?;
    assert_eq!(found.elements()[0].offset(), Offset::Offset(7));
    assert_eq!(found.elements()[0].metadata(), "note 7");
    Ok(())
}

#[test]
fn groups_do_not_see_each_others_offsets() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("apart");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let one = rd::consumer(broker.bootstrap(), &unique("one"), &[])?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(3))?;
    one.commit(&list, CommitMode::Sync)?;
    let other = rd::consumer(broker.bootstrap(), &unique("other"), &[])?;
    assert_eq!(committed(&one, &topic), Some(Offset::Offset(3)));
    assert_eq!(committed(&other, &topic), Some(Offset::Invalid));
    Ok(())
}
