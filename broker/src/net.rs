//! Sockets: accepting, reading frames, writing replies in request order.

mod budget;
mod connection;
mod listener;
mod outgoing;

pub use budget::Budget;
pub use listener::serve;
