//! From a frame to a running request: header, row of the table, version gate.
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::error::ErrorCode;
use protocol::frame::{self, FrameError};
use protocol::messages::ApiKey;

use crate::broker::Broker;
use crate::client_info::ClientInfo;
use crate::handlers;
use crate::net::{Share, Unwritten};

/// What a request takes that waits, whatever it is about.
const WAITING_BYTES: usize = 2 << 10;

/// What a handler knows of its request besides the request itself.
pub struct Context {
    /// The broker's rooms.
    pub broker: Arc<Broker>,
    /// The connection that the request came on.
    pub client: Arc<ClientInfo>,
    /// The client's name for itself, empty if it has none.
    pub client_id: Arc<str>,
    /// Version of the request and of its response.
    pub version: i16,
    /// What the request holds of the budget of bytes in flight.
    pub share: Share,
}

impl Context {
    /// Before a request waits: it keeps `bytes`, and its frame is gone. False if it would keep more
    /// than its frame had, and so much is not left: then it should not wait.
    pub fn keep(&mut self, bytes: usize) -> bool {
        let bytes = WAITING_BYTES + bytes;
        self.broker.budget.resize(&mut self.share, bytes)
    }

    /// Counts an error that goes out to the client and gives its code.
    pub fn error(&self, error: ErrorCode) -> i16 {
        let code = error.code();
        self.broker.metrics.errors(code);
        code
    }
}

/// What a handler answers.
#[derive(Debug)]
pub enum Reply<R> {
    /// A response.
    Ready(R),
    /// A response whose record fields are these slices, in order: they go out without a copy.
    Records(R, Vec<Bytes>),
    /// No response at all (acks=0).
    Silent,
    /// The connection ends: the only way to tell a client that expects no response of an error.
    Disconnect,
}

/// What goes back to the connection.
#[derive(Debug)]
pub enum Outcome {
    /// One frame.
    Frame(Unwritten),
    /// Nothing.
    Silent,
    /// The end of the connection.
    Disconnect,
}

/// A request under way. Appends and coordinator decisions happen in its first poll, in order with the
/// others of its connection. What touches folders runs on a blocking thread, after that poll. It may
/// be dropped at any await when the client goes away.
pub type Running = BoxFuture<'static, Result<Outcome, DispatchError>>;

/// Why a frame ends its connection.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The frame itself is bad.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No such API here, as the ApiVersions response says.
    #[error("API key {key} version {version} is not supported")]
    Unsupported {
        /// The key as sent.
        key: i16,
        /// The version as sent.
        version: i16,
    },
}

/// Starts the request in `frame` (without its size prefix), which holds `share` of the budget.
pub fn dispatch(
    broker: &Arc<Broker>,
    client: &Arc<ClientInfo>,
    mut frame: Bytes,
    share: Share,
) -> Result<Running, DispatchError> {
    let head = frame::head(&frame)?;
    let unsupported = DispatchError::Unsupported {
        key: head.api_key,
        version: head.api_version,
    };
    let Some(row) = handlers::row(head.api_key) else {
        return Err(unsupported);
    };
    let mut version = head.api_version;
    let mut body_version = Some(version);
    if !row.versions.contains(&version) {
        if row.key != ApiKey::ApiVersions {
            return Err(unsupported);
        }
        // KIP-511: answered in v0 with the list, so that the client can come back with less. The
        // body is not looked at.
        version = 0;
        body_version = None;
    }
    let client_id = match body_version {
        Some(version) => frame::take_header(&mut frame, row.key, version)?.client_id,
        None => String::new(),
    };
    let context = Context {
        broker: Arc::clone(broker),
        client: Arc::clone(client),
        client_id: client_id.into(),
        version,
        share,
    };
    let body = body_version.map(|_| frame);
    Ok((row.call)(context, row.index, head.correlation_id, body))
}
