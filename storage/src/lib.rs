//! Logs on disk: mapped segments, indexes, producer state, flushing, retention and recovery, in
//! Apache Kafka's own formats. Synchronous, with threads of its own; it knows record batches and
//! nothing else of the protocol.
//!
//! ```text
//! <data_dir>/.lock                              held while a process uses the directory
//! <data_dir>/.kafka_cleanshutdown               there only after a clean shutdown
//! <data_dir>/recovery-point-offset-checkpoint   everything below is known to be durable and whole
//! <data_dir>/.ballast                           space to delete records with on a full disk
//! <data_dir>/log-start-offset-checkpoint        moved by deleting records
//! <data_dir>/cleaner-offset-checkpoint          everything below was compacted
//! <data_dir>/<topic>-<partition>/
//!     <base offset>.log          record batches, back to back
//!     <base offset>.index        offset -> position, sparse
//!     <base offset>.timeindex    timestamp -> offset, sparse
//!     <base offset>.snapshot     producers as they were at that offset
//!     <base offset>.txnindex     aborted transactions, if there are any
//!     leader-epoch-checkpoint, partition.metadata
//!     *.cleaned, *.swap, *.deleted  segments that compaction replaces, see `cleaner/swap.rs`
//! ```
//!
//! Locks are taken in this order, and none is held across a call of an observer but the first:
//! a log's maintenance lock (flush, truncate, delete, a compacted segment's entry) > its writer > its list of segments > one
//! segment's contents > one segment's indexes.

mod ballast;
mod batches;
mod checkpoint;
mod cleaner;
mod clock;
mod config;
mod contents;
mod data_dir;
pub mod disk;
mod error;
mod files;
mod flusher;
mod hold;
mod housekeeper;
mod indexes;
mod leader_epochs;
mod log;
mod logs;
mod mapping;
mod marker;
mod offset_index;
mod opening;
mod partition_metadata;
mod producer_snapshot;
mod producer_state;
mod reaper;
mod recovery;
mod segment;
mod segments;
mod services;
mod time_index;
mod txn_index;

pub use cleaner::CleanerStats;
pub use config::{Cleanup, FlushPolicy, LogConfig, StorageOptions};
pub use error::{AppendError, OpenError, ReadError, StorageError};
pub use log::{
    Append, Appended, EpochEnd, Log, LogObserver, Origin, ProducerInfo, Read, TimestampOffset,
};
pub use logs::{Logs, PartitionDir, Recovery};
pub use marker::Marker;
pub use txn_index::Aborted;
