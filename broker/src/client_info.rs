//! What is known of the client at the other end of a connection.
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

/// One connection's client, shared by all of its requests.
#[derive(Debug)]
pub struct ClientInfo {
    /// Where the client is.
    pub peer: SocketAddr,
    /// The address that the client dialled.
    pub local: SocketAddr,
    /// Bytes of replies that are made and not yet written, see `net::unsent`.
    pub unsent_bytes: AtomicUsize,
    software: OnceLock<String>,
}

impl ClientInfo {
    /// A connection whose client has not yet said what it is.
    pub fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            peer,
            local,
            unsent_bytes: AtomicUsize::new(0),
            software: OnceLock::new(),
        }
    }

    /// Remembers name and version from ApiVersions (KIP-511); the first word counts.
    pub fn set_software(&self, name: &str, version: &str) {
        let _ = self.software.set(format!("{name} {version}"));
    }

    /// Name and version of the client's software, if it said so.
    pub fn software(&self) -> &str {
        self.software.get().map_or("unknown", String::as_str)
    }
}
