//! Why a change of topics or configs is refused; the texts are in Kafka's tone, for the error message
//! of a response.
use config::InvalidTopicConfig;
use protocol::error::ErrorCode;
use storage::StorageError;

use super::store::CommitError;

/// Why a change of topics or configs is refused.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A name that no topic can have, or one too like another.
    #[error("{0}")]
    Name(String),
    /// A name that only the broker uses.
    #[error("Creation of internal topic {0} is prohibited.")]
    Reserved(String),
    /// The topic is the broker's own.
    #[error("{0} is an internal topic of the broker.")]
    Internal(String),
    /// A projection owns the topic.
    #[error("Topic {topic} is written by projection {projection} alone.")]
    Owned {
        /// The topic.
        topic: String,
        /// Who owns it.
        projection: String,
    },
    /// A projection wants a topic that is there and not its own.
    #[error(
        "projection {projection} cannot have topic '{topic}': it {}",
        match owner {
            Some(owner) => format!("belongs to projection {owner}"),
            None => "exists and belongs to no projection".to_owned(),
        }
    )]
    NotOwned {
        /// The topic.
        topic: String,
        /// Who wants it.
        projection: String,
        /// Who owns it, if a projection does.
        owner: Option<String>,
    },
    /// A config that whoever owns the topic needs as it is.
    #[error("{0}")]
    Policy(String),
    /// There is such a topic.
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    /// There is no such topic.
    #[error("This server does not host this topic-partition.")]
    Unknown,
    /// There is no topic of this id.
    #[error("This server does not host this topic ID.")]
    UnknownId,
    /// A number of partitions that cannot be.
    #[error("{0}")]
    Partitions(String),
    /// A replication factor that one node cannot honour.
    #[error("{0}")]
    ReplicationFactor(String),
    /// A manual assignment that one node cannot honour.
    #[error("{0}")]
    Assignment(String),
    /// More partitions than the broker takes.
    #[error("{0}")]
    Limit(String),
    /// A request that contradicts itself.
    #[error("{0}")]
    Request(String),
    /// A config that cannot be.
    #[error("{0}")]
    Config(String),
    /// `delete.topic.enable` is off.
    #[error("Topic deletion is disabled.")]
    DeletionDisabled,
    /// The folders could not be made or removed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Several changes together could not be written down.
    #[error("{0}")]
    NotWritten(String),
    /// The change could not be written down.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl TopicError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            TopicError::Name(_) | TopicError::Internal(_) => ErrorCode::InvalidTopicException,
            TopicError::Exists(_) | TopicError::NotOwned { .. } => ErrorCode::TopicAlreadyExists,
            TopicError::Owned { .. } => ErrorCode::TopicAuthorizationFailed,
            TopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
            TopicError::UnknownId => ErrorCode::UnknownTopicId,
            TopicError::Partitions(_) => ErrorCode::InvalidPartitions,
            TopicError::ReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
            TopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
            TopicError::Limit(_) | TopicError::Policy(_) => ErrorCode::PolicyViolation,
            TopicError::Request(_) | TopicError::Reserved(_) => ErrorCode::InvalidRequest,
            TopicError::Config(_) => ErrorCode::InvalidConfig,
            TopicError::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
            TopicError::Storage(_) | TopicError::Commit(_) | TopicError::NotWritten(_) => {
                ErrorCode::KafkaStorageError
            }
        }
    }
}

impl From<InvalidTopicConfig> for TopicError {
    fn from(error: InvalidTopicConfig) -> Self {
        TopicError::Config(error.to_string())
    }
}
