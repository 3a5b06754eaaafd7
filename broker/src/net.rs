//! Sockets: accepting, reading frames, writing replies in request order.

mod budget;
mod connection;
mod incoming;
mod listener;
mod outgoing;
mod unsent;

pub use budget::{Budget, Share};
pub use listener::serve;
pub use unsent::{Unsent, Unwritten};
