//! How the commands reach a broker's HTTP listener.
use std::fmt::Write;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST};
use axum::http::{Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of an answer.
const ANSWER_BYTES: usize = 64 << 20;

/// Which broker to talk to.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Http {
    /// Address of the broker's HTTP listener, HOST:PORT.
    #[arg(
        long = "http",
        env = "KLAMM_HTTP",
        default_value = "127.0.0.1:9644",
        value_name = "ADDRESS"
    )]
    address: String,
    /// How long to wait for an answer, in milliseconds.
    #[arg(long, default_value_t = 90_000, value_name = "MS")]
    timeout_ms: u64,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// Nobody answers at the address.
    #[error(
        "nobody answers HTTP at {address} ({reason}): start the broker with `klamm serve --http \
         {address}`, or say with --http where it answers"
    )]
    Connect { address: String, reason: String },
    /// The connection broke, or what answers does not speak HTTP.
    #[error("lost the connection to {address}: {reason}")]
    Lost { address: String, reason: String },
    /// No answer in time.
    #[error("no answer from {address} within {timeout_ms} ms")]
    Timeout { address: String, timeout_ms: u64 },
    /// The broker said no.
    #[error("{message} ({})", status.as_u16())]
    Refused { status: StatusCode, message: String },
    /// The answer is no JSON of the kind that was asked for.
    #[error("{address} gave an answer that klamm does not: {reason}")]
    Answer { address: String, reason: String },
}

impl HttpError {
    /// Whether the broker could not be reached, as opposed to having said no.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Lost { .. } | Self::Timeout { .. }
        )
    }
}

impl Http {
    /// The answer to a GET.
    pub(super) async fn get(&self, path: &str) -> Result<Value, HttpError> {
        self.ask(Method::GET, path, Body::empty()).await
    }

    /// The answer to a POST of this body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.ask(Method::POST, path, Body::from(body.to_string()))
            .await
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> Result<Value, HttpError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .body(body);
        let request = request.map_err(|error| self.lost(error))?;
        let patience = Duration::from_millis(self.timeout_ms);
        let answered = timeout(patience, self.send(request)).await;
        let (status, body) = answered.map_err(|_| HttpError::Timeout {
            address: self.address.clone(),
            timeout_ms: self.timeout_ms,
        })??;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| HttpError::Answer {
            address: self.address.clone(),
            reason: error.to_string(),
        })
    }

    async fn send(&self, request: Request<Body>) -> Result<(StatusCode, Bytes), HttpError> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| HttpError::Connect {
            address: self.address.clone(),
            reason: error.to_string(),
        })?;
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| self.lost(error))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.lost(error))?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await;
        connection.abort();
        Ok((status, body.map_err(|error| self.lost(error))?))
    }

    fn lost(&self, error: impl std::fmt::Display) -> HttpError {
        HttpError::Lost {
            address: self.address.clone(),
            reason: error.to_string(),
        }
    }
}

/// What the broker says, or what stands in front of it.
fn refusal(status: StatusCode, body: &[u8]) -> HttpError {
    #[derive(Deserialize)]
    struct Told {
        message: String,
    }
    let told = serde_json::from_slice::<Told>(body);
    HttpError::Refused {
        status,
        message: told.map_or_else(
            |_| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
            |told| told.message,
        ),
    }
}

/// Text as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte.into()),
            byte => write!(out, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_whoever_makes_them() {
        let told = |body: &str| refusal(StatusCode::NOT_FOUND, body.as_bytes()).to_string();
        assert_eq!(told(r#"{"error_code":404,"message":"no x"}"#), "no x (404)");
        assert_eq!(told("proxy says no"), "proxy says no (404)");
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(encoded("user_activity-1.x"), "user_activity-1.x");
        assert_eq!(encoded("a/b?c ä"), "a%2Fb%3Fc%20%C3%A4");
    }
}
