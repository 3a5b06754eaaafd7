//! ApiVersions (18), v0–4: the table, as clients may use it.
//!
//! v3 carries the client's name and version (KIP-511) and finalized features; v4 allows a feature
//! whose lowest version is 0 (KAFKA-17011). A version that is too new is answered in v0 with
//! UNSUPPORTED_VERSION and the whole list.
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::api_versions_response::ApiVersion;
use protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{Api, TABLE};
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
