//! The wire and record formats of the Kafka protocol: nothing here opens a file or a socket, knows
//! which topics exist, or decides what an answer should be.

pub mod error;
pub mod frame;
pub mod record;
pub mod shape;

pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{Decodable, Encodable, Message, Request, StrBytes};
