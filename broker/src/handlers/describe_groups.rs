//! DescribeGroups (15), v0–6: state, protocol and members of groups. A group that is not there is
//! described as dead, from v6 with GROUP_ID_NOT_FOUND.
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::{self, ErrorCode, NONE};
use protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::{Api, distinct};
use crate::coordinator::group::{Described, State};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct DescribeGroups;

/// Everything is allowed: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS, as bits.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

impl Api for DescribeGroups {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    type Request = DescribeGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    async fn handle(
        context: Context,
        request: DescribeGroupsRequest,
    ) -> Reply<DescribeGroupsResponse> {
        let operations = request.include_authorized_operations;
        let groups = distinct(request.groups, GroupId::clone).map(|id| {
            let described = match context.broker.groups.describe(&id) {
                Some(group) => known(group),
                None => unknown(&context, &id),
            };
            let found = described.error_code == NONE;
            let described = described.with_group_id(id);
            if operations && found {
                described.with_authorized_operations(ALL_OPERATIONS)
            } else {
                described
            }
        });
        Reply::Ready(DescribeGroupsResponse::default().with_groups(groups.collect()))
    }
}

fn unknown(context: &Context, id: &GroupId) -> DescribedGroup {
    let dead =
        DescribedGroup::default().with_group_state(StrBytes::from_static_str(State::Dead.name()));
    if context.version < 6 {
        return dead;
    }
    let message = error::message(&format!("Group {} not found.", &**id));
    dead.with_error_code(context.error(ErrorCode::GroupIdNotFound))
        .with_error_message(Some(message))
}

fn known(group: Described) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_error_code(NONE)
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(text(&group.protocol_type))
        .with_protocol_data(text(&group.protocol))
        .with_members(members.collect())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
