//! AddOffsetsToTxn (25), v0–4: the offsets of a group join a transaction, before TxnOffsetCommit
//! commits some. That is: the partition of `__consumer_offsets` that holds the group does.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};

use super::{Api, fenced_before};
use crate::coordinator::group;
use crate::coordinator::transaction::Identity;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct AddOffsetsToTxn;

/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;

impl Api for AddOffsetsToTxn {
    const KEY: ApiKey = ApiKey::AddOffsetsToTxn;
    type Request = AddOffsetsToTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(
        context: Context,
        request: AddOffsetsToTxnRequest,
    ) -> Reply<AddOffsetsToTxnResponse> {
        let added = add(&context, &request).await;
        let code = |error| context.error(fenced_before(FENCED, &context, error));
        let error_code = added.map_or_else(code, |()| NONE);
        Reply::Ready(AddOffsetsToTxnResponse::default().with_error_code(error_code))
    }
}

async fn add(context: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let broker = &context.broker;
    let who = Identity {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let partition = broker.groups.partition_of(&request.group_id)?;
    let places = [(Arc::from(group::TOPIC), partition)];
    let transactions = &broker.transactions;
    transactions
        .add(&request.transactional_id, who, &places)
        .await
}
