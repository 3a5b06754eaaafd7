//! One connection to a broker: versions negotiated at the start, then one request at a time. A
//! connection that broke is made again by the next request; the request that it broke under fails.
use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use protocol::error::ErrorCode;
use protocol::frame::{decode_response, encode_request};
use protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use protocol::{Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::ClientError;

/// Largest answer that is read: the largest Fetch answer that this client asks for, with room for
/// one batch that is larger than asked for.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// How to talk to a broker.
#[derive(Debug, Clone)]
pub struct Options {
    /// The client's name for itself.
    pub client_id: String,
    /// How long to wait for a connection or an answer.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            client_id: "klamm".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    address: String,
    options: Options,
    stream: TcpStream,
    /// Whether a request failed half-way: the next answer would be to another request.
    broken: bool,
    correlation_id: i32,
    /// The broker's lowest and highest version by API key.
    versions: HashMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to `address` (`HOST:PORT`) and asks for the versions that the broker has.
    pub async fn open(address: &str, options: Options) -> Result<Connection, ClientError> {
        let stream = connect(address, options.timeout).await?;
        let mut connection = Connection {
            address: address.to_owned(),
            options,
            stream,
            broken: false,
            correlation_id: 0,
            versions: HashMap::new(),
        };
        connection.negotiate().await?;
        Ok(connection)
    }

    /// A second connection to the same broker.
    pub async fn another(&self) -> Result<Connection, ClientError> {
        Connection::open(&self.address, self.options.clone()).await
    }

    /// The address that the connection was opened with.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends `request` in the highest version that both sides have and waits for the answer.
    pub async fn send<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.send_within(request, self.options.timeout).await
    }

    /// The same for a request that the broker may hold back for a while.
    pub async fn send_within<R: Request>(
        &mut self,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response, ClientError> {
        self.revive().await?;
        let (key, version) = self.version::<R>()?;
        let frame = self.exchange(key, version, request, limit).await?;
        self.decode::<R>(key, version, frame)
    }

    /// Sends a request that the broker does not answer: a Produce with acks=0.
    pub async fn send_unanswered<R: Request>(&mut self, request: &R) -> Result<(), ClientError> {
        self.revive().await?;
        let (key, version) = self.version::<R>()?;
        self.correlation_id += 1;
        let frame = encode_request(
            key,
            version,
            self.correlation_id,
            &self.options.client_id,
            request,
        )?;
        self.stream
            .write_all(&frame)
            .await
            .map_err(|e| self.lost(e.to_string()))
    }

    /// The version in which [`Connection::send`] will send `R`, where the request looks different by
    /// version.
    pub(crate) fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.version::<R>().map(|(_, version)| version)
    }

    /// The highest version of `R` that both sides have.
    fn version<R: Request>(&self) -> Result<(ApiKey, i16), ClientError> {
        let key = ApiKey::try_from(R::KEY).expect("the crate's own messages have keys it knows");
        let unsupported = || ClientError::Unsupported {
            address: self.address.clone(),
            key,
        };
        let (low, high) = self
            .versions
            .get(&R::KEY)
            .copied()
            .ok_or_else(unsupported)?;
        let version = high.min(ceiling(key).unwrap_or(R::VERSIONS.max));
        if version >= low.max(R::VERSIONS.min) {
            Ok((key, version))
        } else {
            Err(unsupported())
        }
    }

    /// Connects again if the connection broke, or if the broker closed it while nobody looked:
    /// brokers close connections that idle.
    async fn revive(&mut self) -> Result<(), ClientError> {
        let mut byte = [0];
        let is_open = self
            .stream
            .try_read(&mut byte)
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if is_open && !self.broken {
            return Ok(());
        }
        self.stream = connect(&self.address, self.options.timeout).await?;
        self.broken = false;
        self.negotiate().await
    }

    async fn negotiate(&mut self) -> Result<(), ClientError> {
        let key = ApiKey::ApiVersions;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("klamm"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut version = 3;
        let mut frame = self
            .exchange(key, version, &request, self.options.timeout)
            .await?;
        // A broker that does not know the version answers in version 0 (KIP-511); the error code
        // comes first in all of them.
        if frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes()) {
            version = 0;
            frame = self
                .exchange(key, version, &request, self.options.timeout)
                .await?;
        }
        let answer: ApiVersionsResponse = self.decode::<ApiVersionsRequest>(key, version, frame)?;
        crate::error::check(answer.error_code, None, || "ApiVersions".to_owned())?;
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    async fn exchange<R: Request>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &R,
        limit: Duration,
    ) -> Result<Bytes, ClientError> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = encode_request(key, version, id, &self.options.client_id, request)?;
        // Stays so if this future is dropped between request and answer.
        self.broken = true;
        let exchanged = timeout(limit, async {
            self.stream.write_all(&frame).await?;
            read_frame(&mut self.stream).await
        })
        .await;
        match exchanged {
            Ok(Ok(answer)) => {
                self.broken = false;
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.lost(error.to_string())),
            Err(_) => Err(ClientError::Timeout {
                address: self.address.clone(),
                key,
                timeout_ms: limit.as_millis(),
            }),
        }
    }

    fn decode<R: Request>(
        &self,
        key: ApiKey,
        version: i16,
        frame: Bytes,
    ) -> Result<R::Response, ClientError> {
        let (id, answer) = decode_response::<R::Response>(key, version, frame)?;
        if id == self.correlation_id {
            Ok(answer)
        } else {
            let sent = self.correlation_id;
            Err(self.lost(format!(
                "the answer to request {id} came for request {sent}"
            )))
        }
    }

    fn lost(&self, reason: String) -> ClientError {
        ClientError::Lost {
            address: self.address.clone(),
            reason,
        }
    }
}

/// The highest version that this client speaks where it is not the message's highest: later ones
/// name topics by id.
fn ceiling(key: ApiKey) -> Option<i16> {
    match key {
        ApiKey::Produce | ApiKey::Fetch => Some(12),
        _ => None,
    }
}

async fn connect(address: &str, limit: Duration) -> Result<TcpStream, ClientError> {
    let failed = |reason: String| ClientError::Connect {
        address: address.to_owned(),
        reason,
    };
    let stream = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| failed("no answer in time".to_owned()))?
        .map_err(|e| failed(e.to_string()))?;
    stream
        .set_nodelay(true)
        .map_err(|e| failed(e.to_string()))?;
    Ok(stream)
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<Bytes> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).await?;
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if size > MAX_ANSWER_BYTES {
        return Err(std::io::Error::other("the answer has an impossible size"));
    }
    // Grows with what arrives, so that a size alone costs nothing.
    let mut frame = BytesMut::with_capacity(size.min(1 << 20));
    let mut rest = stream.take(size as u64);
    while frame.len() < size {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze().copy_to_bytes(size))
}
