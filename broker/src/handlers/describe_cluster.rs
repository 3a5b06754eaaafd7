//! DescribeCluster (60), v0–2: the one node. v1 asks for brokers or controllers (KIP-919), v2 also
//! for fenced brokers (KIP-1073); there are none.
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::Api;
use super::metadata::CLUSTER_OPERATIONS;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct DescribeCluster;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

impl Api for DescribeCluster {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    type Request = DescribeClusterRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        context: Context,
        request: DescribeClusterRequest,
    ) -> Reply<DescribeClusterResponse> {
        Reply::Ready(match request.endpoint_type {
            BROKERS => describe(&context, request.include_cluster_authorized_operations),
            CONTROLLERS => refuse(
                &context,
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
                 type CONTROLLER"
                    .to_owned(),
            ),
            other => refuse(
                &context,
                ErrorCode::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            ),
        })
    }
}

fn describe(context: &Context, operations: bool) -> DescribeClusterResponse {
    let broker = &context.broker;
    let node = BrokerId(broker.settings.node_id);
    let (host, port) = broker.advertised(&context.client);
    let this = DescribeClusterBroker::default()
        .with_broker_id(node)
        .with_host(StrBytes::from_string(host))
        .with_port(port)
        .with_rack(broker.settings.rack.clone().map(StrBytes::from_string));
    let cluster_id = StrBytes::from_string(broker.topics.cluster_id().to_owned());
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(cluster_id)
        .with_controller_id(node)
        .with_brokers(vec![this])
        .with_cluster_authorized_operations(if operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        })
}

fn refuse(context: &Context, error: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(context.error(error))
        .with_error_message(Some(StrBytes::from_string(message)))
}
