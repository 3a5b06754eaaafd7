//! A raw connection: arbitrary bytes, or typed requests encoded and decoded by the
//! `kafka-protocol` crate alone, so that klamm's own frames are judged by other code.
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// Largest response that a test expects, in bytes.
const RESPONSE_LIMIT: usize = 256 << 20;

/// One connection to a broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    correlation_id: i32,
}

impl Wire {
    /// Connects; reads and writes give up after 30 s.
    pub fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream,
            correlation_id: 0,
        })
    }

    /// Another connection to the same broker.
    pub fn another(&self) -> Result<Self> {
        Self::connect(&self.stream.peer_addr()?.to_string())
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends `payload` behind its size.
    pub fn send_frame(&mut self, payload: &[u8]) -> Result<()> {
        let mut frame = BytesMut::with_capacity(payload.len() + 4);
        frame.put_i32(i32::try_from(payload.len())?);
        frame.put_slice(payload);
        self.send_raw(&frame)
    }

    /// Reads one frame, without its size.
    pub fn read_frame(&mut self) -> Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).context("no response")?;
        let size = usize::try_from(i32::from_be_bytes(size)).context("negative size")?;
        ensure!(size <= RESPONSE_LIMIT, "a response of {size} bytes");
        let mut frame = vec![0; size];
        self.stream
            .read_exact(&mut frame)
            .context("the response ends early")?;
        Ok(frame.into())
    }

    /// Sends a request and gives its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32> {
        self.correlation_id += 1;
        let frame = encode(version, self.correlation_id, request)?;
        self.send_frame(&frame)?;
        Ok(self.correlation_id)
    }

    /// Reads the response to a request of type `R`: its correlation id and body.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<(i32, R::Response)> {
        let frame = self.read_frame()?;
        decode::<R>(version, frame)
    }

    /// Sends a request and reads its response.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let sent = self.send(version, request)?;
        let (answered, response) = self.receive::<R>(version)?;
        ensure!(
            sent == answered,
            "sent correlation id {sent}, got {answered}"
        );
        Ok(response)
    }

    /// Whether the broker closes the connection without a further byte.
    pub fn closes(&mut self) -> Result<bool> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => Ok(count == 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Encodes a request's header and body, without the size prefix.
pub fn encode<R: Request>(version: i16, correlation_id: i32, request: &R) -> Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("klamm-tests")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    Ok(frame.freeze())
}

/// Decodes a response frame without its size prefix, and insists that nothing is left over.
pub fn decode<R: Request>(version: i16, mut frame: Bytes) -> Result<(i32, R::Response)> {
    let key = ApiKey::try_from(R::KEY).ok();
    let whole = frame.clone();
    let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))?;
    let response = R::Response::decode(&mut frame, version)
        .with_context(|| format!("undecodable {key:?} v{version} response: {whole:?}"))?;
    ensure!(
        !frame.has_remaining(),
        "{} bytes after {key:?} v{version}",
        frame.remaining()
    );
    Ok((header.correlation_id, response))
}
