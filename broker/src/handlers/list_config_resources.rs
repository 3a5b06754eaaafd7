//! ListConfigResources (74), v0–1: what DescribeConfigs can be asked about (KIP-1142). v0 lists
//! client metrics subscriptions alone (KIP-714), of which there are none; v1 takes types, none of
//! them meaning all.
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::list_config_resources_response::ConfigResource;
use protocol::messages::{ApiKey, ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct ListConfigResources;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

impl Api for ListConfigResources {
    const KEY: ApiKey = ApiKey::ListConfigResources;
    type Request = ListConfigResourcesRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        context: Context,
        request: ListConfigResourcesRequest,
    ) -> Reply<ListConfigResourcesResponse> {
        let response = ListConfigResourcesResponse::default();
        let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        let mut types = request.resource_types;
        if context.version == 0 {
            types = vec![CLIENT_METRICS];
        }
        if types.iter().any(|kind| !known.contains(kind)) {
            let code = context.error(ErrorCode::UnsupportedVersion);
            return Reply::Ready(response.with_error_code(code));
        }
        let is_wanted = |kind| types.is_empty() || types.contains(&kind);
        let mut resources = Vec::new();
        if is_wanted(TOPIC) {
            let topics = context.broker.topics.all();
            resources.extend(
                topics
                    .iter()
                    .map(|topic| resource(TOPIC, topic.name.to_string())),
            );
        }
        for kind in [BROKER, BROKER_LOGGER]
            .into_iter()
            .filter(|kind| is_wanted(*kind))
        {
            resources.push(resource(kind, context.broker.settings.node_id.to_string()));
        }
        Reply::Ready(response.with_config_resources(resources))
    }
}

fn resource(kind: i8, name: String) -> ConfigResource {
    ConfigResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name))
}
