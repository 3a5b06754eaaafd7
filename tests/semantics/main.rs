//! The guarantees, one file each, through librdkafka against the real process.
mod ordering;
