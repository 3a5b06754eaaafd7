//! Transactions under a load that is killed, paused, overtaken and aborted: what clients did and saw
//! is written down, and a checker looks for anomalies in it.
//!
//! `KLAMM_TEST_TRANSACTIONS` says how many transactions (default 20 000) and `KLAMM_TEST_SEED`
//! repeats the choices of an earlier run; the seed is printed.
mod checker;
mod history;
mod plain;
mod planted;
mod readers;
mod run;
mod writers;
