//! The body of a POST: JSON of a known shape, bounded.
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::Problem;

/// Bytes that a body may have.
const LIMIT: usize = 64 << 10;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body of this shape; no body at all is an empty object. The type of the content must be
/// `application/json`, which a browser does not send to another site without asking first; and no
/// page sends it at all: browsers say where a POST comes from, also to a name that leads here by
/// DNS rebinding.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(ORIGIN) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "orders are not taken from pages in a browser",
            ));
        }
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a POST needs the header Content-Type: application/json",
            ));
        }
        let read = timeout(PATIENCE, to_bytes(request.into_body(), LIMIT)).await;
        let Ok(read) = read else {
            let message = "the body did not come in time";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
        };
        let Ok(body) = read else {
            let message = format!("the body broke off or is larger than {LIMIT} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        };
        let body = if body.is_empty() { b"{}" } else { &body[..] };
        // An array of the fields' values is no such object, though serde would take it.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::bad("body: not a JSON object"));
        }
        match serde_json::from_slice(body) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(Problem::bad(format!("body: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[serde(default)]
        hold: bool,
    }

    async fn read(kind: &str, body: impl Into<Body>) -> Result<bool, Problem> {
        let request = Request::post("/").header(CONTENT_TYPE, kind);
        let request = request.body(body.into()).unwrap();
        let read = JsonBody::<Shape>::from_request(request, &()).await;
        read.map(|JsonBody(shape)| shape.hold)
    }

    #[tokio::test]
    async fn bodies_are_read_or_refused() {
        let json = "application/json; charset=utf-8";
        assert_eq!(read(json, r#"{"hold":true}"#).await, Ok(true));
        assert_eq!(read(json, "").await, Ok(false));
        let unknown = read(json, r#"{"holt":true}"#).await.unwrap_err();
        assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
        assert!(unknown.message.contains("holt"), "{unknown:?}");
        let array = read(json, "[true]").await.unwrap_err();
        assert_eq!(array.status, StatusCode::BAD_REQUEST);
        let form = read("application/x-www-form-urlencoded", "")
            .await
            .unwrap_err();
        assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let request = Request::post("/").header(CONTENT_TYPE, json);
        let page = request.header(ORIGIN, "http://127.0.0.1:9644");
        let page = page.body(Body::empty()).unwrap();
        let page = JsonBody::<Shape>::from_request(page, &()).await;
        assert_eq!(page.unwrap_err().status, StatusCode::FORBIDDEN);
        let large = read(json, " ".repeat(LIMIT + 1)).await.unwrap_err();
        assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
