//! Transactions under a load that is killed, paused, overtaken and aborted: what clients did and saw
//! is written down, and a checker looks for anomalies in it. The producers are those of librdkafka,
//! of Apache Kafka and of franz-go; some copy an input topic, with their group's offsets as a part of
//! their transactions.
//!
//! `KLAMM_TEST_TRANSACTIONS` says how many transactions (default 20 000) and `KLAMM_TEST_SEED`
//! repeats the choices of an earlier run; the seed is printed.
mod checker;
mod clients;
mod groups;
mod history;
mod inputs;
mod life;
mod offsets;
mod plain;
mod planted;
mod planted_offsets;
mod raw;
mod readers;
mod remote;
mod run;
mod version;
mod writers;
