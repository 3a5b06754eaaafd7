//! Batches that are wrong in one way each, and what they are answered with.
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use harness::{Batch, ask};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{DescribeProducersRequest, InitProducerIdRequest};

use crate::pair::Pair;

/// One good and one wrong batch of everything that the header can say.
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong_batches() -> Vec<(&'static str, Bytes)> {
    let good = || Batch::of(&["a", "b", "c"]);
    let two = [good().bytes(), good().bytes()].concat();
    let mut cut = BytesMut::from(&good().bytes()[..]);
    cut.truncate(40);
    let mut short = BytesMut::from(&good().bytes()[..]);
    short.truncate(90);
    let mut long = BytesMut::from(&good().bytes()[..]);
    long.extend_from_slice(&[0; 3]);
    vec![
        ("a good batch", good().bytes()),
        (
            "a wrong checksum",
            Batch {
                checksum_error: 1,
                ..good()
            }
            .bytes(),
        ),
        ("magic 0", Batch { magic: 0, ..good() }.bytes()),
        ("magic 1", Batch { magic: 1, ..good() }.bytes()),
        ("magic 3", Batch { magic: 3, ..good() }.bytes()),
        (
            "too small a count",
            Batch {
                count_error: -1,
                ..good()
            }
            .bytes(),
        ),
        (
            "too large a count",
            Batch {
                count_error: 1,
                ..good()
            }
            .bytes(),
        ),
        (
            "a negative count",
            Batch {
                count_error: -9,
                ..good()
            }
            .bytes(),
        ),
        (
            "a wrong last offset delta",
            Batch {
                delta_error: 1,
                ..good()
            }
            .bytes(),
        ),
        (
            "codec 5",
            Batch {
                attributes: 5,
                ..good()
            }
            .bytes(),
        ),
        (
            "codec 7",
            Batch {
                attributes: 7,
                ..good()
            }
            .bytes(),
        ),
        (
            "log append time by the client",
            Batch {
                attributes: 8,
                ..good()
            }
            .bytes(),
        ),
        (
            "a control batch",
            Batch {
                attributes: 0x20,
                ..good()
            }
            .bytes(),
        ),
        (
            "transactional without an id",
            Batch {
                attributes: 0x10,
                ..good()
            }
            .bytes(),
        ),
        (
            "a sequence without a producer",
            good().producer(-1, -1, 5).bytes(),
        ),
        (
            "a producer without a sequence",
            good().producer(9, 0, -1).bytes(),
        ),
        (
            "a producer without an epoch",
            good().producer(9, -1, 0).bytes(),
        ),
        ("no records", Batch::of(&[]).bytes()),
        ("two batches", two.into()),
        ("half a header", cut.freeze()),
        ("half a batch", short.freeze()),
        ("bytes after the batch", long.freeze()),
        ("nothing", Bytes::new()),
        (
            "too large",
            Batch::of(&["x".repeat(2_000_000).as_str()]).bytes(),
        ),
        (
            "a time in the far future",
            good().at(&[99_999_999_999_999; 3]).bytes(),
        ),
        ("no time", good().at(&[-1; 3]).bytes()),
    ]
}

/// Where klamm answers otherwise, and why.
fn excused(question: &str) -> &'static [&'static str] {
    match question {
        // Refused either way: corrupt (2) with one, invalid (87) with the other; an unknown codec is
        // an unexpected error (-1) to Apache Kafka.
        "codec 5" | "codec 7" | "magic 3" | "half a header" | "half a batch" => {
            &["error_code", "log_start_offset"]
        }
        // klamm refuses what no client sends; Apache Kafka lets it pass.
        "log append time by the client"
        | "a producer without an epoch"
        | "bytes after the batch" => &[
            "error_code",
            "base_offset",
            "log_append_time_ms",
            "log_start_offset",
            "record_errors",
            "batch_index",
        ],
        // klamm names the first record with a wrong time, Apache Kafka all.
        "a time in the far future" => &["batch_index"],
        // Apache Kafka tells its log start with most refusals.
        _ => &["log_start_offset"],
    }
}

#[test]
fn batches() -> Result<()> {
    let mut pair = Pair::start()?;
    for (nth, (question, records)) in wrong_batches().into_iter().enumerate() {
        let topic = format!("batches-{nth}");
        pair.both(|wire| wire.create_topic(&topic, 1, &[("retention.ms", "-1")]))?;
        for version in [3, 7, 8, 9, 11] {
            let request = ask::produce(&topic, records.clone());
            pair.ask_except(question, version, &request, excused(question))?;
        }
    }
    pair.verdict()
}

#[test]
fn places() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        wire.create_topic("places", 1, &[])?;
        wire.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        wire.create_topic("small", 1, &[("max.message.bytes", "100")])
    })?;
    let good = Batch::of(&["a", "b"]).bytes();
    pair.ask(
        "an unknown topic",
        9,
        &ask::produce("unknown", good.clone()),
    )?;
    let mut elsewhere = ask::produce("places", good.clone());
    elsewhere.topic_data[0].partition_data[0].index = 9;
    pair.ask("an unknown partition", 9, &elsewhere)?;
    elsewhere.topic_data[0].partition_data[0].index = -1;
    pair.ask("a negative partition", 9, &elsewhere)?;
    for acks in [1, 2, -2] {
        pair.ask(
            "acks",
            9,
            &ask::produce("places", good.clone()).with_acks(acks),
        )?;
    }
    let keyless = Batch::of_pairs(&[(Some("k"), Some("a")), (None, Some("b")), (None, None)]);
    for version in [7, 8, 9] {
        let request = ask::produce("compacted", keyless.bytes());
        pair.ask("no key on a compacted topic", version, &request)?;
    }
    let large = Batch::of(&["x".repeat(200).as_str()]).bytes();
    pair.ask(
        "larger than the topic takes",
        9,
        &ask::produce("small", large),
    )?;
    let mut two = ask::produce("places", good.clone());
    two.topic_data
        .extend(ask::produce("unknown", good.clone()).topic_data);
    pair.ask("one known, one unknown topic", 9, &two)?;
    let transactional =
        ask::produce("places", good).with_transactional_id(Some(ask::text("nobody").into()));
    pair.ask(
        "a transactional id without a transaction",
        9,
        &transactional,
    )?;
    pair.verdict()
}

#[test]
fn producers() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("producers", 1, &[]))?;
    let init = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    for version in 0..=5 {
        pair.ask("a producer id", version, &init)?;
    }
    pair.ask(
        "no timeout",
        4,
        &init.clone().with_transaction_timeout_ms(0),
    )?;
    pair.ask(
        "a known id without its epoch",
        4,
        &init.clone().with_producer_id(5.into()),
    )?;
    pair.ask(
        "an epoch without an id",
        4,
        &init.clone().with_producer_epoch(5),
    )?;
    let both = init
        .clone()
        .with_producer_id(5.into())
        .with_producer_epoch(3);
    pair.ask("an id and an epoch", 4, &both)?;
    let empty = init.with_transactional_id(Some(ask::text("").into()));
    pair.ask("an empty transactional id", 4, &empty)?;
    let steps = [
        ("a first batch", (77, 2, 0)),
        ("the next one", (77, 2, 1)),
        ("the last one again", (77, 2, 1)),
        ("the first one again", (77, 2, 0)),
        ("a gap", (77, 2, 9)),
        ("an older epoch", (77, 1, 2)),
        ("a newer epoch not from zero", (77, 3, 2)),
        ("a newer epoch", (77, 3, 0)),
        ("a stranger not from zero", (88, 0, 40)),
    ];
    for (question, (id, epoch, sequence)) in steps {
        let batch = Batch::of(&["a"]).producer(id, epoch, sequence).bytes();
        // For a batch that is there already Apache Kafka tells its time, though the producer set it.
        let request = ask::produce("producers", batch);
        pair.ask_except(question, 9, &request, &["log_append_time_ms"])?;
    }
    let describe = |name: &str, partition| {
        let topic = TopicRequest::default()
            .with_name(ask::topic(name))
            .with_partition_indexes(vec![partition]);
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    pair.ask(
        "the producers of an unknown topic",
        0,
        &describe("unknown", 0),
    )?;
    pair.ask(
        "the producers of an unknown partition",
        0,
        &describe("producers", 9),
    )?;
    pair.verdict()
}
