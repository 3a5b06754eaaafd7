//! The state machine without sockets: a clock that is set by hand, and a journal in memory.
mod in_doubt;
mod journal;
mod members;
mod offsets;
mod rebalance;
mod stage;
mod statics;
mod timeouts;
