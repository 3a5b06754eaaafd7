//! Idempotence on the wire: what the broker answers to sequences, before and after kill -9.
use anyhow::Result;
use bytes::Bytes;
use harness::talk::settled;
use harness::{Batch, Broker, Options, Program, Wire, unique};
use kafka_protocol::messages::InitProducerIdRequest;

const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;

fn producer_id(wire: &mut Wire) -> Result<i64> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    settled(|| {
        let response = wire.call(4, &request)?;
        Ok((response.error_code, response.producer_id.0))
    })
}

fn batch(producer: i64, epoch: i16, sequence: i32) -> Bytes {
    Batch::of(&["a", "b"])
        .producer(producer, epoch, sequence)
        .bytes()
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_offset() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("repeated");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let producer = producer_id(&mut wire)?;
    for nth in 0..7 {
        let answer = wire.produce(&topic, batch(producer, 0, nth * 2))?;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, i64::from(nth) * 2)
        );
    }
    for restarts in 0..3 {
        // The last five batches are known, whatever order they come back in. Apache Kafka keeps
        // only the last one over a restart.
        let forgets = restarts > 0 && broker.program() == Program::Kafka;
        let known: &[i32] = if forgets { &[6] } else { &[6, 2, 4, 3, 5] };
        for &nth in known {
            let answer = wire.produce(&topic, batch(producer, 0, nth * 2))?;
            let told = (answer.error_code, answer.base_offset);
            assert_eq!(told, (0, i64::from(nth) * 2), "after {restarts} restarts");
        }
        let (_, _, latest) = wire.list_offset(&topic, -1)?;
        assert_eq!(
            latest, 14,
            "a repeated batch was appended after {restarts} restarts"
        );
        if restarts < 2 {
            broker.kill9()?;
            broker.restart()?;
            wire = broker.wire()?;
        }
    }
    let next = wire.produce(&topic, batch(producer, 0, 14))?;
    assert_eq!((next.error_code, next.base_offset), (0, 14));
    Ok(())
}

#[test]
fn a_gap_in_the_sequence_is_refused_and_changes_nothing() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("gap");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let producer = producer_id(&mut wire)?;
    assert_eq!(wire.produce(&topic, batch(producer, 0, 0))?.error_code, 0);
    let answer = wire.produce(&topic, batch(producer, 0, 4))?;
    assert_eq!(
        answer.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER,
        "{answer:?}"
    );
    let answer = wire.produce(&topic, batch(producer, 0, 2))?;
    assert_eq!(
        (answer.error_code, answer.base_offset),
        (0, 2),
        "the right one still fits"
    );
    Ok(())
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("epoch");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let producer = producer_id(&mut wire)?;
    assert_eq!(wire.produce(&topic, batch(producer, 0, 0))?.error_code, 0);
    let late_start = wire.produce(&topic, batch(producer, 1, 2))?;
    assert_eq!(
        late_start.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER,
        "{late_start:?}"
    );
    assert_eq!(wire.produce(&topic, batch(producer, 1, 0))?.error_code, 0);
    let zombie = wire.produce(&topic, batch(producer, 0, 2))?;
    assert_eq!(zombie.error_code, INVALID_PRODUCER_EPOCH, "{zombie:?}");
    Ok(())
}

#[test]
fn an_unknown_producer_may_start_at_any_sequence() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("unknown");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let producer = producer_id(&mut wire)?;
    let answer = wire.produce(&topic, batch(producer, 3, 100))?;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    let answer = wire.produce(&topic, batch(producer, 3, 102))?;
    assert_eq!((answer.error_code, answer.base_offset), (0, 2));
    Ok(())
}

#[test]
fn sequences_wrap_from_the_largest_to_zero() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("wrap");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let producer = producer_id(&mut wire)?;
    // Two records: sequences 2^31 - 1 and 0; the next batch starts at 1.
    assert_eq!(
        wire.produce(&topic, batch(producer, 0, i32::MAX))?
            .error_code,
        0
    );
    let answer = wire.produce(&topic, batch(producer, 0, 1))?;
    assert_eq!((answer.error_code, answer.base_offset), (0, 2));
    Ok(())
}
