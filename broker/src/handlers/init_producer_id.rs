//! InitProducerId (22), v0–5: an id for an idempotent producer. One that tells the id and epoch it has
//! (v3, KIP-360) gets a new id too, as Kafka does it: only a transactional id ties epochs together.
//! Transactional ids are refused: there is no transaction coordinator.
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct InitProducerId;

const NO_PRODUCER_ID: ProducerId = ProducerId(-1);
const NO_PRODUCER_EPOCH: i16 = -1;

impl Api for InitProducerId {
    const KEY: ApiKey = ApiKey::InitProducerId;
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        context: Context,
        request: InitProducerIdRequest,
    ) -> Reply<InitProducerIdResponse> {
        let has_id = request.producer_id != NO_PRODUCER_ID;
        let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
        let allotted = match &request.transactional_id {
            _ if has_id != has_epoch => Err(ErrorCode::InvalidRequest),
            Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
            Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
            None => context.broker.producer_ids.next().await,
        };
        let response = InitProducerIdResponse::default();
        Reply::Ready(match allotted {
            Ok(id) => response
                .with_error_code(NONE)
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(0),
            Err(error) => response
                .with_error_code(context.error(error))
                .with_producer_id(NO_PRODUCER_ID)
                .with_producer_epoch(NO_PRODUCER_EPOCH),
        })
    }
}
