//! Ordering: each partition gives back what one producer sent, in its order, with consecutive
//! offsets, whatever happens on the other partitions.
use anyhow::Result;
use harness::{Broker, Options, rd, unique};
use rdkafka::producer::Producer;

#[test]
fn each_partition_keeps_the_order_of_its_producer() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("ordering");
    rd::create_topic(broker.bootstrap(), &topic, 3, &[])?;
    let producer = rd::producer(broker.bootstrap(), &[("batch.num.messages", "7")])?;
    for number in 0..3_000 {
        rd::send(&producer, &topic, number % 3, "key", &number.to_string())?;
    }
    producer.flush(harness::PATIENCE)?;
    for partition in 0..3 {
        let read = rd::read_all(broker.bootstrap(), &topic, partition, 0)?;
        let sent = (0..1_000).map(|nth| (i64::from(nth), (nth * 3 + partition).to_string()));
        assert_eq!(read, sent.collect::<Vec<_>>(), "partition {partition}");
    }
    Ok(())
}
