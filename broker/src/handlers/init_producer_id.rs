//! InitProducerId (22), v0–5: an id for an idempotent producer, or a new epoch for one that has an
//! id (KIP-360). Transactional ids are refused: there is no transaction coordinator.
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct InitProducerId;

impl Api for InitProducerId {
    const KEY: ApiKey = ApiKey::InitProducerId;
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        context: Context,
        request: InitProducerIdRequest,
    ) -> Reply<InitProducerIdResponse> {
        let allotted = match request.transactional_id {
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
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        })
    }
}
