//! Logs on disk: mapped segments, indexes, producer state, flushing, retention and recovery, in
//! Apache Kafka's own formats. Synchronous, with threads of its own; it knows record batches and
//! nothing else of the protocol.

mod config;
mod error;
mod log;
mod logs;

pub use config::{Cleanup, FlushPolicy, LogConfig, StorageOptions};
pub use error::{AppendError, OpenError, ReadError, StorageError};
pub use log::{
    Append, Appended, EpochEnd, Log, LogObserver, Origin, ProducerInfo, Read, TimestampOffset,
};
pub use logs::{Logs, PartitionDir, Recovery};
