//! Stock clients, unmodified, as subprocesses. What they need is installed by `tests/setup`; a
//! client that is missing fails its tests with that advice.
mod codecs;
mod committed;
mod each;
mod kcat;
mod process;
mod streams;
mod subject;
