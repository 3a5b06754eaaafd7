//! InitProducerId (22), v0–5: an id and an epoch for an idempotent or transactional producer. A
//! transactional id ties epochs together: whoever comes with it gets the next one, and shuts the one
//! before out. A client may say who it is (v3, KIP-360); without a transactional id it gets a new id
//! all the same, as Kafka does it.
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Api, fenced_before};
use crate::coordinator::transaction::Identity;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct InitProducerId;

const NO_PRODUCER_ID: ProducerId = ProducerId(-1);
const NO_PRODUCER_EPOCH: i16 = -1;
/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 4;

impl Api for InitProducerId {
    const KEY: ApiKey = ApiKey::InitProducerId;
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        context: Context,
        request: InitProducerIdRequest,
    ) -> Reply<InitProducerIdResponse> {
        let response = InitProducerIdResponse::default();
        Reply::Ready(match allot(&context, &request).await {
            Ok(producer) => response
                .with_error_code(NONE)
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch),
            Err(error) => response
                .with_error_code(context.error(fenced_before(FENCED, &context, error)))
                .with_producer_id(NO_PRODUCER_ID)
                .with_producer_epoch(NO_PRODUCER_EPOCH),
        })
    }
}

async fn allot(context: &Context, request: &InitProducerIdRequest) -> Result<Identity, ErrorCode> {
    let has_id = request.producer_id != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    if has_id != has_epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    let Some(id) = &request.transactional_id else {
        let id = context.broker.producer_ids.next().await?;
        return Ok(Identity { id, epoch: 0 });
    };
    let expected = has_id.then_some(Identity {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    });
    let transactions = &context.broker.transactions;
    transactions
        .init(id, request.transaction_timeout_ms, expected)
        .await
}
