//! Apache Kafka as the referee: the same request bytes go to it and to klamm, and the answers are
//! compared field by field. A difference fails the test and is printed as `path: Kafka | klamm`.
//!
//! `cargo test -p klamm-tests --test referee` asks again.
mod basics;
mod configs;
mod fetch;
mod files;
mod groups;
mod members;
mod offsets;
mod pair;
mod produce;
mod topics;
mod transactions;
