//! Heartbeat (12), v0–4: keeps a member's session, and tells it of a rebalance.
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::{ApiKey, HeartbeatRequest, HeartbeatResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct Heartbeat;

impl Api for Heartbeat {
    const KEY: ApiKey = ApiKey::Heartbeat;
    type Request = HeartbeatRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(context: Context, request: HeartbeatRequest) -> Reply<HeartbeatResponse> {
        let beaten = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else {
            context.broker.groups.heartbeat(
                &request.group_id,
                &request.member_id,
                request.group_instance_id.as_deref(),
                request.generation_id,
            )
        };
        let error_code = beaten.map_or_else(|error| context.error(error), |()| NONE);
        Reply::Ready(HeartbeatResponse::default().with_error_code(error_code))
    }
}
