//! Timestamps: a topic with log append time carries the broker's, others the producer's.
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use harness::{Batch, Broker, Options, rd, unique};
use rdkafka::Timestamp;
use rdkafka::message::Message;

const INVALID_TIMESTAMP: i16 = 32;

fn now_ms() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64)
}

#[test]
fn log_append_time_is_told_stored_and_found() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("append-time");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let before = now_ms()?;
    let answer = wire.produce(&topic, Batch::of(&["a", "b"]).at(&[5, 6]).bytes())?;
    let after = now_ms()?;
    let told = answer.log_append_time_ms;
    assert!(
        (before..=after).contains(&told),
        "{told} is not in {before}..={after}"
    );
    let consumer = rd::reader(broker.bootstrap(), &topic, 0, 0)?;
    for message in rd::take(&consumer, 2)? {
        assert_eq!(message.timestamp(), Timestamp::LogAppendTime(told));
    }
    // All records of a batch carry the same time; the first one is found.
    assert_eq!(wire.list_offset(&topic, told)?, (0, told, 0));
    assert_eq!(wire.list_offset(&topic, told + 1)?, (0, -1, -1));
    Ok(())
}

#[test]
fn create_time_is_kept() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("create-time");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[("retention.ms", "-1")])?;
    let answer = wire.produce(&topic, Batch::of(&["a"]).at(&[1_234]).bytes())?;
    assert_eq!(answer.log_append_time_ms, -1);
    let consumer = rd::reader(broker.bootstrap(), &topic, 0, 0)?;
    assert_eq!(
        rd::take(&consumer, 1)?[0].timestamp(),
        Timestamp::CreateTime(1_234)
    );
    Ok(())
}

#[test]
fn a_timestamp_too_far_off_is_refused() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("far-off");
    let mut wire = broker.wire()?;
    let bounds = [
        ("message.timestamp.before.max.ms", "60000"),
        ("message.timestamp.after.max.ms", "60000"),
    ];
    wire.create_topic(&topic, 1, &bounds)?;
    let now = now_ms()?;
    assert_eq!(
        wire.produce(&topic, Batch::of(&["a"]).at(&[now]).bytes())?
            .error_code,
        0
    );
    for time in [now - 600_000, now + 600_000] {
        let answer = wire.produce(&topic, Batch::of(&["a", "b"]).at(&[now, time]).bytes())?;
        assert_eq!(answer.error_code, INVALID_TIMESTAMP, "{answer:?}");
        assert_eq!(answer.record_errors[0].batch_index, 1, "{answer:?}");
    }
    assert_eq!(
        wire.list_offset(&topic, -1)?.2,
        1,
        "nothing of a refused batch is kept"
    );
    Ok(())
}
