//! ApiVersions (18), v0–4: the table, as clients may use it.
//!
//! v3 carries the client's name and version (KIP-511) and finalized features (KIP-584): transactions
//! are of version 2, in which the epoch rises with each of them and partitions join by being written
//! to (KIP-890). v4 allows a feature whose lowest version is 0 (KAFKA-17011). A version that is too new is answered in v0 with
//! UNSUPPORTED_VERSION and the whole list.
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{Api, TABLE};
use crate::coordinator::transaction::EPOCH_PER_TRANSACTION;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct ApiVersions;

impl Api for ApiVersions {
    const KEY: ApiKey = ApiKey::ApiVersions;
    type Request = ApiVersionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(context: Context, request: ApiVersionsRequest) -> Reply<ApiVersionsResponse> {
        let (name, version) = (
            &request.client_software_name,
            &request.client_software_version,
        );
        if context.version >= 3 {
            if !is_software_word(name) || !is_software_word(version) {
                let code = context.error(ErrorCode::InvalidRequest);
                return Reply::Ready(ApiVersionsResponse::default().with_error_code(code));
            }
            context.client.set_software(name, version);
            return Reply::Ready(with_features(list(NONE), context.version));
        }
        Reply::Ready(list(NONE))
    }

    fn handle_unknown_version(context: &Context) -> Option<ApiVersionsResponse> {
        Some(list(context.error(ErrorCode::UnsupportedVersion)))
    }
}

fn list(error_code: i16) -> ApiVersionsResponse {
    let keys = TABLE.iter().map(|row| {
        ApiVersion::default()
            .with_api_key(row.key as i16)
            .with_min_version(*row.advertised.start())
            .with_max_version(*row.advertised.end())
    });
    ApiVersionsResponse::default()
        .with_error_code(error_code)
        .with_api_keys(keys.collect())
}

/// Only a broker of a cluster that upgrades step by step has more than one epoch of features.
const FEATURES_EPOCH: i64 = 0;
const TRANSACTION_VERSION: StrBytes = StrBytes::from_static_str("transaction.version");

fn with_features(response: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
    let supported = SupportedFeatureKey::default()
        .with_name(TRANSACTION_VERSION)
        .with_min_version(0)
        .with_max_version(EPOCH_PER_TRANSACTION);
    let finalized = FinalizedFeatureKey::default()
        .with_name(TRANSACTION_VERSION)
        .with_min_version_level(EPOCH_PER_TRANSACTION)
        .with_max_version_level(EPOCH_PER_TRANSACTION);
    // Clients of v3 take a lowest version of 0 for an error.
    let supported = (version >= 4).then_some(supported);
    response
        .with_supported_features(supported.into_iter().collect())
        .with_finalized_features_epoch(FEATURES_EPOCH)
        .with_finalized_features(vec![finalized])
}

/// KIP-511: letters and digits, with dots and dashes inside.
fn is_software_word(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let bytes = word.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes.iter().copied().all(inner)
        }
        _ => false,
    }
}
