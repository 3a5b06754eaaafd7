//! ListGroups (16), v0–5: all groups, or those of some states (v4) and types (v5). Filters do not
//! care about case; all groups are of the classic type.
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::messages::list_groups_response::ListedGroup;
use protocol::messages::{ApiKey, GroupId, ListGroupsRequest, ListGroupsResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct ListGroups;

const CLASSIC: &str = "classic";

impl Api for ListGroups {
    const KEY: ApiKey = ApiKey::ListGroups;
    type Request = ListGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(context: Context, request: ListGroupsRequest) -> Reply<ListGroupsResponse> {
        let asked = |filter: &[StrBytes], value: &str| {
            let same = |wanted: &StrBytes| wanted.trim().eq_ignore_ascii_case(value);
            filter.is_empty() || filter.iter().any(same)
        };
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let mut groups = Vec::new();
        if asked(&request.types_filter, CLASSIC) {
            groups = context.broker.groups.list();
        }
        groups.retain(|group| asked(&request.states_filter, group.state.name()));
        let groups = groups.into_iter().map(|group| {
            ListedGroup::default()
                .with_group_id(GroupId(text(&group.name)))
                .with_protocol_type(text(&group.protocol_type))
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_group_type(StrBytes::from_static_str(CLASSIC))
        });
        Reply::Ready(ListGroupsResponse::default().with_groups(groups.collect()))
    }
}
