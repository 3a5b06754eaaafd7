//! DeleteGroups (42), v0–2: deletes empty groups with their offsets.
use std::ops::RangeInclusive;

use protocol::error::NONE;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct DeleteGroups;

impl Api for DeleteGroups {
    const KEY: ApiKey = ApiKey::DeleteGroups;
    type Request = DeleteGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(context: Context, request: DeleteGroupsRequest) -> Reply<DeleteGroupsResponse> {
        let groups = &context.broker.groups;
        // All at once, so that they share the wait for the disk.
        let deleted = request.groups_names.into_iter().map(|name| async move {
            let deleted = groups.delete(&name).await;
            (name, deleted)
        });
        let results = futures_util::future::join_all(deleted).await;
        let results = results.into_iter().map(|(name, deleted)| {
            let error_code = deleted.map_or_else(|error| context.error(error), |()| NONE);
            DeletableGroupResult::default()
                .with_group_id(name)
                .with_error_code(error_code)
        });
        let results = results.collect();
        Reply::Ready(DeleteGroupsResponse::default().with_results(results))
    }
}
