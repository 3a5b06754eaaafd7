//! Topics, their ids, partitions and configs.

mod log_config;
mod producer_ids;
mod topic;
mod topics;

pub use log_config::{log_config, storage_options};
pub use producer_ids::ProducerIds;
pub use topic::Topic;
pub use topics::Topics;
