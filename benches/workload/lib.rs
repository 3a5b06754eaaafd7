//! What the benchmarks share: payloads, a broker process to load, and its use of CPU and memory.
pub mod payload;
pub mod process;
pub mod quantiles;
