//! Ids for producers.
use anyhow::Result;
use harness::Options;
use kafka_protocol::messages::{InitProducerIdRequest, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;

use crate::both::Both;

#[test]
fn producer_ids_are_given_and_refused_alike() -> Result<()> {
    let mut both = Both::start(&Options::default())?;
    let request = || {
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
    };
    both.await_kafka(4, &request(), |answer| answer.error_code == 0)?;
    let own = &["producer_id"];
    both.ask("idempotent", 0..=5, own, |_| request())?;
    both.ask("idempotent with id and epoch", 3..=5, own, |_| {
        request()
            .with_producer_id(ProducerId(0))
            .with_producer_epoch(3)
    })?;
    both.ask("id without epoch", 3..=5, &[], |_| {
        request().with_producer_id(ProducerId(0))
    })?;
    both.ask("epoch without id", 3..=5, &[], |_| {
        request().with_producer_epoch(0)
    })?;
    both.ask("empty transactional id", 0..=5, &[], |_| {
        request().with_transactional_id(Some(TransactionalId(StrBytes::default())))
    })?;
    both.agreed()
}
