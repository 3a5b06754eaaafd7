//! Frames and headers: from length-capped bytes to a typed request, and from a typed response to
//! the pieces that go out on the socket.
//!
//! ```text
//! frame    = size:i32, header, body
//! request  = api_key:i16, api_version:i16, correlation_id:i32, client_id:nullable string [, tags]
//! response = correlation_id:i32 [, tags]
//! ```
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};

/// The fixed part of every request header, readable whatever the key and version are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The API key as sent; it may be one that nobody knows.
    pub api_key: i16,
    /// The version as sent; it may be one that is not implemented.
    pub api_version: i16,
    /// Echoed in the response.
    pub correlation_id: i32,
}

/// The rest of the header of a request whose key and version are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// The client's name for itself, empty if null.
    pub client_id: String,
}

/// Why a frame could not be read. It costs the connection, never the process.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the shape of the message needs.
    #[error("the frame ends inside {0}")]
    Truncated(&'static str),
    /// A length or count that the rest of the frame cannot hold.
    #[error("{what} claims {claimed} but only {left} bytes are left")]
    Oversized {
        /// What carried the length.
        what: &'static str,
        /// The length or count as sent.
        claimed: i64,
        /// The bytes left in the frame.
        left: usize,
    },
    /// A message body that the decoder refuses.
    #[error("undecodable {key:?} v{version}: {reason}")]
    Body {
        /// The request's key.
        key: ApiKey,
        /// The request's version.
        version: i16,
        /// The decoder's reason.
        reason: String,
    },
}

/// Reads the first eight bytes of a frame.
pub fn head(_frame: &[u8]) -> Result<RequestHead, FrameError> {
    todo!()
}

/// Takes the whole header off `frame`, leaving the body. `frame` is without the size prefix.
pub fn take_header(
    _frame: &mut Bytes,
    _key: ApiKey,
    _version: i16,
) -> Result<RequestHeader, FrameError> {
    todo!()
}

/// Decodes a request body. Byte fields (the records of a Produce) stay slices of `body`. All lengths
/// are checked against the bytes that are left before anything is allocated. Bytes left over after
/// the body are an error.
pub fn decode<T: Decodable>(_key: ApiKey, _version: i16, _body: Bytes) -> Result<T, FrameError> {
    todo!()
}

/// Encodes size prefix, response header and body as the pieces of one vectored write. Byte fields
/// that are identical to one of `shared` (same address, same length) are passed on by reference and
/// not copied: this is how record batches travel from the mapping to the socket. `shared` must be in
/// the order in which the encoder meets them; empty ones are skipped.
pub fn encode_response<T: Encodable>(
    _key: ApiKey,
    _version: i16,
    _correlation_id: i32,
    _response: &T,
    _shared: Vec<Bytes>,
) -> Result<Vec<Bytes>, FrameError> {
    todo!()
}

/// Encodes size prefix, request header and body (for clients).
pub fn encode_request<T: Encodable>(
    _key: ApiKey,
    _version: i16,
    _correlation_id: i32,
    _client_id: &str,
    _request: &T,
) -> Result<Bytes, FrameError> {
    todo!()
}

/// Decodes a response frame without its size prefix (for clients): the correlation id and the body.
pub fn decode_response<T: Decodable>(
    _key: ApiKey,
    _version: i16,
    _frame: Bytes,
) -> Result<(i32, T), FrameError> {
    todo!()
}
