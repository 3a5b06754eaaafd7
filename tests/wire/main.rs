//! Bytes on live sockets: what no well-behaved client sends, and more of it than any would.
//!
//! | variable | effect |
//! |---|---|
//! | `KLAMM_WIRE_BODIES` | how many bodies the fuzz sends (1 000 000) |
//! | `KLAMM_WIRE_SEED` | where its random numbers start (1); a failure names the seed |
mod bombs;
mod descriptors;
mod dribble;
mod frames;
#[path = "../../protocol/tests/shape/generate.rs"]
mod generate;
mod golden;
mod group_memory;
mod idle;
mod lengths;
mod many;
mod memory;
mod mutated;
mod order;
mod parked;
#[path = "../../protocol/tests/shape/random.rs"]
mod random;
mod slow;
mod transaction_memory;
