//! `compression.type`: batches are kept in the codec that the topic asks for, whatever came.
use anyhow::Result;
use harness::{Batch, Broker, Options, PATIENCE, ask, rd, unique};
use rdkafka::producer::Producer;

/// Low byte of the attributes in a batch header; its lowest three bits name the codec.
const ATTRIBUTES_AT: usize = 22;

/// The topics' words and the codecs on the wire, `producer` left out.
const CODECS: [(&str, u8); 5] = [
    ("uncompressed", 0),
    ("gzip", 1),
    ("snappy", 2),
    ("lz4", 3),
    ("zstd", 4),
];

/// What client libraries call the codecs.
const SENT: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[test]
fn a_topic_keeps_batches_in_its_own_codec() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    for (word, codec) in CODECS {
        let topic = unique(word);
        wire.create_topic(&topic, 1, &[("compression.type", word)])?;
        // Long and dull enough for librdkafka to send it compressed.
        let value = "value ".repeat(500);
        let batch = Batch::of(&[&value, &value]).at(&[7, 9]);
        let answer = wire.produce(&topic, batch.bytes())?;
        assert_eq!((answer.error_code, answer.base_offset), (0, 0), "{word}");
        for sent in SENT {
            let extra = [("compression.codec", sent), ("linger.ms", "0")];
            let producer = rd::producer(broker.bootstrap(), &extra)?;
            rd::send(&producer, &topic, 0, "key", &value)?;
            producer.flush(PATIENCE)?;
            let reports = producer.context().all();
            assert!(
                reports.len() == 1 && reports[0].error.is_none(),
                "{reports:?}"
            );
        }
        // The first batch has two records, each of the others one.
        for offset in [0, 2, 3, 4, 5, 6] {
            let records = wire.fetch(&ask::fetch(&topic, offset))?.records;
            let records = records.unwrap_or_default();
            assert_eq!(records[ATTRIBUTES_AT] & 0b111, codec, "{word} at {offset}");
        }
        let read = rd::read_all(broker.bootstrap(), &topic, 0, 7)?;
        assert!(read.iter().all(|(_, text)| *text == value), "{word}");
    }
    Ok(())
}

#[test]
fn a_topic_that_asks_for_nothing_keeps_the_producers_codec() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let topic = unique("producer");
    wire.create_topic(&topic, 1, &[])?;
    let batch = Batch::of(&["a"]).bytes();
    wire.produce(&topic, batch.clone())?;
    let records = wire
        .fetch(&ask::fetch(&topic, 0))?
        .records
        .unwrap_or_default();
    // Apart from the leader epoch, which the broker stamps.
    assert_eq!(records[16..], batch[16..]);
    Ok(())
}
