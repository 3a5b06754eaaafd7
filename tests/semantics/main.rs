//! The guarantees, one file each: through librdkafka, and over raw connections where a client
//! library hides what is promised, against the real process.
mod commits;
mod compaction;
mod compression;
mod configs;
mod damage;
mod deletes;
mod fetch;
mod fetch_sessions;
mod flushes;
mod groups;
mod idempotence;
mod limits;
mod long_poll;
mod offsets;
mod ordering;
mod partitions;
mod reconnects;
mod static_members;
mod stepper;
mod stopping;
mod timestamps;
mod transaction_losses;
mod transaction_markers;
mod transaction_steps;
mod transactions;
