//! A TCP proxy that can cut all of its connections: for clients that must reconnect while the
//! broker lives on.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

#[derive(Debug, Default)]
struct State {
    target: String,
    open: Vec<TcpStream>,
    closed: bool,
}

/// A proxy on a free port of 127.0.0.1. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Binds; connections are refused until [`Self::forward_to`] names a target.
    pub fn bind() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.closed {
                    return;
                }
                let Ok(server) = TcpStream::connect(&state.target) else {
                    continue;
                };
                for stream in [&client, &server] {
                    state.open.extend(stream.try_clone());
                }
                drop(state);
                join(&client, &server);
            }
        });
        Ok(Self { address, state })
    }

    /// Where clients connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Names the broker that connections go to.
    pub fn forward_to(&self, target: &str) {
        target.clone_into(&mut self.lock().target);
    }

    /// Cuts every open connection, in the middle of whatever it carries.
    pub fn cut(&self) {
        for stream in self.lock().open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.lock().closed = true;
        self.cut();
        // Wakes the accepting thread so that it sees the end.
        let _ = TcpStream::connect(&self.address);
    }
}

fn join(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // The other direction ends with this one.
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
