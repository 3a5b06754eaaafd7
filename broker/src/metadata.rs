//! Topics, their ids, partitions and configs, the cluster id and producer ids: one store over a log
//! of its own, `__klamm_metadata-0`, that clients do not see.

mod alter;
mod change;
mod create;
mod delete;
mod log_config;
mod new_topic;
mod open;
mod owner;
mod producer_ids;
mod store;
mod topic;
mod topic_error;
mod topic_name;
mod topics;
pub mod uuid_text;

pub use alter::{Alteration, Edit, Operation, Resource};
pub use change::Configs;
pub use create::Created;
pub use log_config::{log_config, storage_options};
pub use new_topic::NewTopic;
pub use producer_ids::ProducerIds;
pub use topic::Topic;
pub use topic_error::TopicError;
pub use topic_name::reason_invalid as reason_invalid_name;
pub use topics::Topics;
