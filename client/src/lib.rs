//! A small asynchronous Kafka client: what the `klamm` command line needs, and no more.
//!
//! klamm is one node, so every request goes to the address that the caller gave; leaders are not
//! followed. A [`Connection`] has one request in flight; who needs two at a time opens two.

mod assign;
mod configs;
mod connection;
mod error;
mod fetch;
mod groups;
mod member;
mod metadata;
mod offsets;
mod partitioner;
mod producer;
pub mod sample;
mod subscription;
mod topics;
mod transactions;

pub use configs::{ConfigChange, ConfigValue};
pub use connection::{Connection, Options};
pub use error::ClientError;
pub use fetch::{Fetcher, Incoming, Isolation};
pub use groups::{Committed, GroupDescription, GroupListing, GroupMemberDescription};
pub use member::{Assignment, GroupMember, MemberOptions};
pub use metadata::{Broker, Cluster, Partition, Topic};
pub use offsets::At;
pub use producer::{Acks, Delivery, Outgoing, Producer, ProducerOptions};
pub use topics::NewTopic;
pub use transactions::{
    OpenTransaction, TransactionDescription, TransactionFilter, TransactionListing,
};

/// A partition of a topic.
pub type TopicPartition = (String, i32);
