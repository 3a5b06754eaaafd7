//! EndTxn (26), v0–5: commits or aborts a transaction. Answered when the decision is on disk, and as
//! a rule when all markers are. From v5 on the epoch rises with every transaction (KIP-890), and the
//! answer tells the new one.
use std::ops::RangeInclusive;

use protocol::error::NONE;
use protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse, ProducerId};

use super::{Api, fenced_before};
use crate::coordinator::transaction::{EPOCH_PER_TRANSACTION, Identity};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct EndTxn;

/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;
/// First version that raises the epoch.
const BUMPS: i16 = 5;

impl Api for EndTxn {
    const KEY: ApiKey = ApiKey::EndTxn;
    type Request = EndTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(context: Context, request: EndTxnRequest) -> Reply<EndTxnResponse> {
        let who = Identity {
            id: request.producer_id.0,
            epoch: request.producer_epoch,
        };
        let version = if context.version >= BUMPS {
            EPOCH_PER_TRANSACTION
        } else {
            0
        };
        let transactions = &context.broker.transactions;
        let ended = transactions
            .end(&request.transactional_id, who, request.committed, version)
            .await;
        let response = EndTxnResponse::default();
        Reply::Ready(match ended {
            Ok(producer) => response
                .with_error_code(NONE)
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch),
            Err(error) => response
                .with_error_code(context.error(fenced_before(FENCED, &context, error)))
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        })
    }
}
