//! The broker: sockets, dispatch, handlers, coordinators and HTTP above the logs of `storage`.
//!
//! Calls and bytes go down (`net → dispatch → handlers → fetch, coordinator, metadata → partition →
//! storage`), facts come up by watch.

mod broker;
pub mod cli;
mod client_info;
mod coordinator;
mod dispatch;
mod fetch;
mod handlers;
mod http;
mod log_output;
mod metadata;
mod metrics;
mod net;
mod partition;
mod process;
pub mod projector;
mod scrape;
pub mod serve;
