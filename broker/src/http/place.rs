//! A connection's place among those served at once. A stream gives it up for one of another kind,
//! so that streams never keep health checks waiting.
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Streams at once.
pub(super) const STREAMS: usize = 256;

/// What a connection occupies until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Arc<Semaphore>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    is_stream: bool,
}

impl Place {
    /// An ordinary place.
    pub(super) fn new(permit: OwnedSemaphorePermit, streams: Arc<Semaphore>) -> Self {
        let held = Mutex::new(Held {
            _permit: permit,
            is_stream: false,
        });
        Self { streams, held }
    }

    /// Takes a stream's place instead, for the rest of the connection; false if all are taken.
    pub(super) fn become_stream(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_stream {
            let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
                return false;
            };
            *held = Held {
                _permit: permit,
                is_stream: true,
            };
        }
        true
    }

    /// Whether it has become a stream.
    pub(super) fn is_stream(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_frees_the_ordinary_place_and_streams_are_bounded() {
        let (places, streams) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let place = || {
            let permit = Arc::clone(&places).try_acquire_owned().unwrap();
            Place::new(permit, Arc::clone(&streams))
        };
        let (first, second) = (place(), place());
        assert!(first.become_stream() && first.become_stream());
        assert_eq!(places.available_permits(), 1);
        assert!(!second.become_stream() && !second.is_stream());
        drop(first);
        assert!(second.become_stream() && second.is_stream());
        drop(second);
        assert_eq!(
            (places.available_permits(), streams.available_permits()),
            (2, 1)
        );
    }
}
