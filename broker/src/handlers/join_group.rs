//! JoinGroup (11), v0–9: becomes a member, and waits for the generation. From v4 a dynamic member
//! without id is told one first (KIP-394), from v5 members can be static (KIP-345), from v9 a static
//! leader can be told to keep the assignment (KIP-814).
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};

use super::Api;
use crate::coordinator::group::{Join, Joined, Protocol, Refused, distinct};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct JoinGroup;

/// Protocols that one member may support; clients have two or three.
const PROTOCOLS: usize = 1_000;

impl Api for JoinGroup {
    const KEY: ApiKey = ApiKey::JoinGroup;
    type Request = JoinGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=9;

    async fn handle(mut context: Context, request: JoinGroupRequest) -> Reply<JoinGroupResponse> {
        let refuse = |error| Refused {
            error,
            member_id: Arc::from(&*request.member_id),
        };
        let joined = if request.group_id.is_empty() {
            Err(refuse(ErrorCode::InvalidGroupId))
        } else if request.protocols.len() > PROTOCOLS {
            Err(refuse(ErrorCode::InconsistentGroupProtocol))
        } else {
            let join = join(&context, &request);
            let group = request.group_id.to_string();
            drop(request);
            // What it said is in the group now, which counts it.
            context.keep(0);
            context.broker.groups.join(&group, join).await
        };
        Reply::Ready(match joined {
            Ok(joined) => accepted(context.version, joined),
            Err(refused) => JoinGroupResponse::default()
                .with_error_code(context.error(refused.error))
                .with_member_id(text(&refused.member_id))
                .with_protocol_name(name(context.version, None)),
        })
    }
}

/// Copies what is kept out of the frame, which would stay in memory otherwise.
fn join(context: &Context, request: &JoinGroupRequest) -> Join {
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: Arc::from(&*protocol.name),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    Join {
        member_id: Arc::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(Arc::from),
        client_id: Arc::clone(&context.client_id),
        client_host: format!("/{}", context.client.peer.ip().to_canonical()).into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match context.version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: Arc::from(&*request.protocol_type),
        protocols: distinct(protocols.collect()),
        needs_member_id: context.version >= 4,
        can_skip_assignment: context.version >= 9,
    }
}

fn accepted(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(NONE)
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.as_deref().map(text))
        .with_protocol_name(name(version, joined.protocol.as_deref()))
        .with_leader(text(&joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(&joined.member_id))
        .with_members(members.collect())
}

/// No protocol is the empty string up to v6 and null from v7.
fn name(version: i16, protocol: Option<&str>) -> Option<StrBytes> {
    match protocol {
        None if version < 7 => Some(StrBytes::new()),
        protocol => protocol.map(text),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
