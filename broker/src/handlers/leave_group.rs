//! LeaveGroup (13), v0–5: members go, without waiting for their session to end. One up to v2, many
//! with a result for each from v3; static members can be put out by their instance id alone.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::leave_group_response::MemberResponse;
use protocol::messages::{ApiKey, LeaveGroupRequest, LeaveGroupResponse};

use super::Api;
use crate::coordinator::group::Leaver;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct LeaveGroup;

/// First version with many members.
const BATCHED: i16 = 3;

impl Api for LeaveGroup {
    const KEY: ApiKey = ApiKey::LeaveGroup;
    type Request = LeaveGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(context: Context, request: LeaveGroupRequest) -> Reply<LeaveGroupResponse> {
        let response = LeaveGroupResponse::default();
        let left = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else {
            let leavers = leavers(&context, &request);
            context
                .broker
                .groups
                .leave(&request.group_id, &leavers)
                .await
        };
        let code = |result: Result<(), ErrorCode>| match result {
            Ok(()) => NONE,
            Err(error) => context.error(error),
        };
        let results = match left {
            Ok(results) => results,
            Err(error) => return Reply::Ready(response.with_error_code(context.error(error))),
        };
        if context.version < BATCHED {
            let error_code = results.into_iter().next().map_or(NONE, code);
            return Reply::Ready(response.with_error_code(error_code));
        }
        let members = request.members.into_iter().zip(results);
        let members = members.map(|(member, result)| {
            MemberResponse::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
                .with_error_code(code(result))
        });
        Reply::Ready(response.with_members(members.collect()))
    }
}

fn leavers(context: &Context, request: &LeaveGroupRequest) -> Vec<Leaver> {
    if context.version < BATCHED {
        return vec![Leaver {
            member_id: Arc::from(&*request.member_id),
            instance_id: None,
        }];
    }
    let members = request.members.iter().map(|member| Leaver {
        member_id: Arc::from(&*member.member_id),
        instance_id: member.group_instance_id.as_deref().map(Arc::from),
    });
    members.collect()
}
