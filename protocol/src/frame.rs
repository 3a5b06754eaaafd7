//! Frames and headers: from length-capped bytes to a typed request, and from a typed response to
//! the pieces that go out on the socket.
//!
//! ```text
//! frame    = size:i32, header, body
//! request  = api_key:i16, api_version:i16, correlation_id:i32, client_id:nullable string [, tags]
//! response = correlation_id:i32 [, tags]
//! ```
//!
//! Request header version 2 and response header version 1 add the tags (KIP-482); an `ApiVersions`
//! response always has header version 0, because the client that reads it does not know yet what
//! the broker speaks (KIP-511).
pub(crate) mod cursor;
mod gather;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::shape;
use cursor::Cursor;
use gather::Gather;

/// Bytes of the size prefix of every frame.
const SIZE_LEN: usize = 4;

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
    /// A response with a field that its version does not have: the broker's own mistake.
    #[error("a response to {key:?} v{version} cannot be encoded: {reason}")]
    Response {
        /// The request's key.
        key: ApiKey,
        /// The request's version.
        version: i16,
        /// The encoder's reason.
        reason: String,
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
pub fn head(frame: &[u8]) -> Result<RequestHead, FrameError> {
    let mut cursor = Cursor::new(frame);
    Ok(RequestHead {
        api_key: cursor.i16("the API key")?,
        api_version: cursor.i16("the API version")?,
        correlation_id: cursor.i32("the correlation id")?,
    })
}

/// Takes the whole header off `frame`, leaving the body. `frame` is without the size prefix.
pub fn take_header(
    frame: &mut Bytes,
    key: ApiKey,
    version: i16,
) -> Result<RequestHeader, FrameError> {
    head(frame)?;
    let mut cursor = Cursor::new(frame);
    cursor.take(8, "the header")?;
    // The client id is a nullable string with a 16-bit length in header version 2 too.
    let client_id = match cursor.i16("the client id")? {
        -1 => &[],
        length => {
            let length = usize::try_from(length)
                .map_err(|_| body_error(key, version, &"negative length of the client id"))?;
            cursor.take(length, "the client id")?
        }
    };
    let client_id = std::str::from_utf8(client_id)
        .map_err(|e| body_error(key, version, &e))?
        .to_owned();
    if key.request_header_version(version) >= 2 {
        cursor.skip_tagged_fields("the header's tagged fields")?;
    }
    let end = cursor.position();
    frame.advance(end);
    Ok(RequestHeader { client_id })
}

/// Decodes a request body. Byte fields (the records of a Produce) stay slices of `body`. All lengths
/// are checked against the bytes that are left before anything is allocated. A key or version
/// without a [`shape`] is an error. Bytes left over after the body are ignored, as Apache Kafka does:
/// librdkafka 2.12 asks for all topics with four bytes of null array where one is meant, and leaves
/// three over.
///
/// `T` has to be the request of that key: the check follows the key, the decoder follows `T`.
pub fn decode<T: Decodable>(key: ApiKey, version: i16, mut body: Bytes) -> Result<T, FrameError> {
    shape::check(key, version, &body)?;
    decode_body(key, version, &mut body)
}

fn decode_body<T: Decodable>(key: ApiKey, version: i16, body: &mut Bytes) -> Result<T, FrameError> {
    T::decode(body, version).map_err(|e| body_error(key, version, &e))
}

/// Encodes size prefix, response header and body as the pieces of one vectored write. Byte fields
/// that are identical to one of `shared` (same address, same length) are passed on by reference and
/// not copied: this is how record batches travel from the mapping to the socket. `shared` must be in
/// the order in which the encoder meets them; empty ones are skipped.
pub fn encode_response<T: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &T,
    shared: Vec<Bytes>,
) -> Result<Vec<Bytes>, FrameError> {
    let mut out = Gather::new(shared);
    out.put_i32(0); // the size, known at the end
    out.put_i32(correlation_id);
    if key.response_header_version(version) >= 1 {
        out.put_u8(0); // no tagged fields
    }
    response
        .encode(&mut out, version)
        .map_err(|error| FrameError::Response {
            key,
            version,
            reason: error.to_string(),
        })?;
    let size = frame_size(key, version, out.len())?;
    out.set_size(size);
    Ok(out.into_pieces())
}

/// Encodes size prefix, request header and body (for clients).
pub fn encode_request<T: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    request: &T,
) -> Result<Bytes, FrameError> {
    let failed = |e: anyhow::Error| body_error(key, version, &e);
    let client_id_len = i16::try_from(client_id.len())
        .map_err(|_| body_error(key, version, &"the client id is too long"))?;
    let body_len = request.compute_size(version).map_err(failed)?;
    let mut out = BytesMut::with_capacity(SIZE_LEN + 11 + client_id.len() + body_len);
    out.put_i32(0); // the size, known at the end
    out.put_i16(key as i16);
    out.put_i16(version);
    out.put_i32(correlation_id);
    out.put_i16(client_id_len);
    out.put_slice(client_id.as_bytes());
    if key.request_header_version(version) >= 2 {
        out.put_u8(0); // no tagged fields
    }
    request.encode(&mut out, version).map_err(failed)?;
    let size = frame_size(key, version, out.len())?;
    out[..SIZE_LEN].copy_from_slice(&size.to_be_bytes());
    Ok(out.freeze())
}

/// Decodes a response frame without its size prefix (for clients): the correlation id and the body.
///
/// Unlike requests, responses are decoded without a look at their lengths first: a broker that lies
/// about the length of an array can make its client ask for more memory than there is. Connect to
/// brokers that you trust.
pub fn decode_response<T: Decodable>(
    key: ApiKey,
    version: i16,
    mut frame: Bytes,
) -> Result<(i32, T), FrameError> {
    let mut cursor = Cursor::new(&frame);
    let correlation_id = cursor.i32("the correlation id")?;
    if key.response_header_version(version) >= 1 {
        cursor.skip_tagged_fields("the header's tagged fields")?;
    }
    let end = cursor.position();
    frame.advance(end);
    let message = decode_body(key, version, &mut frame)?;
    if frame.has_remaining() {
        let reason = format!("{} bytes are left over after the body", frame.len());
        return Err(body_error(key, version, &reason));
    }
    Ok((correlation_id, message))
}

/// What the size prefix of a frame of `len` bytes, prefix included, says.
fn frame_size(key: ApiKey, version: i16, len: usize) -> Result<i32, FrameError> {
    i32::try_from(len - SIZE_LEN)
        .map_err(|_| body_error(key, version, &"the frame is larger than 2 GiB"))
}

fn body_error(key: ApiKey, version: i16, reason: &dyn Display) -> FrameError {
    FrameError::Body {
        key,
        version,
        reason: reason.to_string(),
    }
}
