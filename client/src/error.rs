//! Why a request failed.
use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::frame::FrameError;
use protocol::messages::ApiKey;
use protocol::record::RecordError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the address.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// As given.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// The connection broke.
    #[error("lost the connection to {address}: {reason}")]
    Lost {
        /// As given.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from {address} to {key:?} within {timeout_ms} ms")]
    Timeout {
        /// As given.
        address: String,
        /// The request.
        key: ApiKey,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// The broker has no version of the API that this client has.
    #[error("{address} has no version of {key:?} that this client knows")]
    Unsupported {
        /// As given.
        address: String,
        /// The API.
        key: ApiKey,
    },
    /// A message cannot be written or read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The answer lacks what was asked for.
    #[error("the answer to {0:?} lacks what was asked for")]
    Incomplete(ApiKey),
    /// The broker said no.
    #[error("{what}: {code:?}{}", message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        what: String,
        /// Kafka's error.
        code: ErrorCode,
        /// The broker's words, if it has any.
        message: Option<String>,
    },
    /// A fetched batch is damaged.
    #[error("{topic}-{partition} at offset {offset}: {damage}")]
    Record {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Where the fetch began.
        offset: i64,
        /// The damage.
        damage: RecordError,
    },
}

impl ClientError {
    /// The broker's error, if it is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the broker could not be reached, as opposed to having said no.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            ClientError::Connect { .. } | ClientError::Lost { .. } | ClientError::Timeout { .. }
        )
    }
}

/// `Ok` for code 0, else the refusal.
pub(crate) fn check(
    code: i16,
    message: Option<&StrBytes>,
    what: impl FnOnce() -> String,
) -> Result<(), ClientError> {
    match ErrorCode::try_from_code(code) {
        None => Ok(()),
        Some(code) => Err(ClientError::Refused {
            what: what(),
            code,
            message: message.map(ToString::to_string),
        }),
    }
}
