//! FindCoordinator (10), v0–6: this node coordinates every group and every transaction. One key up
//! to v3, many from v4. There is no coordinator of share groups (v6).
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::{self, ErrorCode, NONE};
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct FindCoordinator;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// First version with many keys.
const BATCHED: i16 = 4;

impl Api for FindCoordinator {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    type Request = FindCoordinatorRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    async fn handle(
        context: Context,
        request: FindCoordinatorRequest,
    ) -> Reply<FindCoordinatorResponse> {
        let found = find(&context, request.key_type);
        let (error_code, node_id, host, port) = match found {
            Ok((node_id, host, port)) => (NONE, node_id, host, port),
            Err(error) => (context.error(error), -1, String::new(), -1),
        };
        let host = StrBytes::from_string(host);
        let message = found_message(error_code);
        let response = FindCoordinatorResponse::default();
        if context.version < BATCHED {
            return Reply::Ready(
                response
                    .with_error_code(error_code)
                    .with_error_message(message)
                    .with_node_id(BrokerId(node_id))
                    .with_host(host)
                    .with_port(port),
            );
        }
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_error_code(error_code)
                .with_error_message(message.clone())
                .with_node_id(BrokerId(node_id))
                .with_host(host.clone())
                .with_port(port)
        });
        Reply::Ready(response.with_coordinators(coordinators.collect()))
    }
}

fn find(context: &Context, key_type: i8) -> Result<(i32, String, i32), ErrorCode> {
    match key_type {
        GROUP => context.broker.groups.ready()?,
        TRANSACTION => context.broker.transactions.ready()?,
        _ => return Err(ErrorCode::InvalidRequest),
    }
    let (host, port) = context.broker.advertised(&context.client);
    Ok((context.broker.settings.node_id, host, port))
}

fn found_message(error_code: i16) -> Option<StrBytes> {
    let error = ErrorCode::try_from_code(error_code)?;
    Some(error::message(&error))
}
