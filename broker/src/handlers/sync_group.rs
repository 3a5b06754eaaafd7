//! SyncGroup (14), v0–5: the leader hands in the assignment, every member takes its share.
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};

use super::Api;
use crate::coordinator::group::Sync;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct SyncGroup;

/// First version that must name protocol type and protocol (KIP-559).
const NAMED: i16 = 5;

impl Api for SyncGroup {
    const KEY: ApiKey = ApiKey::SyncGroup;
    type Request = SyncGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(mut context: Context, request: SyncGroupRequest) -> Reply<SyncGroupResponse> {
        let synced = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if context.version >= NAMED && !names_protocol(&request) {
            Err(ErrorCode::InconsistentGroupProtocol)
        } else {
            let sync = sync(&request);
            let group = request.group_id.to_string();
            drop(request);
            context.keep(0);
            context.broker.groups.sync(&group, sync).await
        };
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let response = SyncGroupResponse::default();
        Reply::Ready(match synced {
            Ok(synced) => response
                .with_error_code(NONE)
                .with_protocol_type(synced.protocol_type.as_deref().map(text))
                .with_protocol_name(synced.protocol.as_deref().map(text))
                .with_assignment(synced.assignment),
            Err(error) => response.with_error_code(context.error(error)),
        })
    }
}

fn names_protocol(request: &SyncGroupRequest) -> bool {
    request.protocol_type.is_some() && request.protocol_name.is_some()
}

/// Copies what is kept out of the frame, which would stay in memory otherwise.
fn sync(request: &SyncGroupRequest) -> Sync {
    let assignments = request.assignments.iter().map(|share| {
        let assignment = Bytes::copy_from_slice(&share.assignment);
        (Arc::from(&*share.member_id), assignment)
    });
    Sync {
        member_id: Arc::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(Arc::from),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_deref().map(Arc::from),
        protocol: request.protocol_name.as_deref().map(Arc::from),
        assignments: assignments.collect(),
    }
}
