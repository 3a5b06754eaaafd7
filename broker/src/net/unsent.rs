//! How much memory replies take that are made and that their clients have yet to take: behind a
//! slow socket, or behind a reply that must go out before them.
//!
//! Only what is the broker's own memory counts. Records lie in mapped files and cost nothing here.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::client_info::ClientInfo;

/// What a reply takes besides its bytes.
const EACH: usize = 512;

/// The replies of all connections.
#[derive(Debug)]
pub struct Unsent {
    bytes: AtomicUsize,
    limit: usize,
    fell: Notify,
}

/// One reply, counted until it is dropped.
#[derive(Debug)]
pub struct Counted {
    all: Arc<Unsent>,
    client: Arc<ClientInfo>,
    bytes: usize,
}

/// The pieces of one reply.
#[derive(Debug)]
pub struct Unwritten {
    /// In order.
    pub pieces: Vec<Bytes>,
    /// Kept for as long as one of them is.
    pub counted: Counted,
}

impl Unsent {
    /// Room for so many bytes; the last reply before there is none may be larger than what is left.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            limit,
            fell: Notify::new(),
        }
    }

    /// Counts a reply to `client`; `mapped` bytes of it lie in files.
    pub fn count(
        self: &Arc<Self>,
        client: &Arc<ClientInfo>,
        pieces: Vec<Bytes>,
        mapped: usize,
    ) -> Unwritten {
        let all: usize = pieces.iter().map(Bytes::len).sum();
        let bytes = EACH + all.saturating_sub(mapped) + pieces.len() * size_of::<Bytes>();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        client.unsent_bytes.fetch_add(bytes, Ordering::Relaxed);
        Unwritten {
            pieces,
            counted: Counted {
                all: Arc::clone(self),
                client: Arc::clone(client),
                bytes,
            },
        }
    }

    /// Whether no further request should be started.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.limit
    }

    /// Bytes that are counted now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        loop {
            // Before the look: room that is made in between is not missed.
            let fell = self.fell.notified();
            if !self.is_full() {
                return;
            }
            fell.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let own = &self.client.unsent_bytes;
        own.fetch_sub(self.bytes, Ordering::Relaxed);
        let before = self.all.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        let limit = self.all.limit;
        if before >= limit && before - self.bytes < limit {
            self.all.fell.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn client() -> Arc<ClientInfo> {
        let here = ([127, 0, 0, 1], 1).into();
        Arc::new(ClientInfo::new(here, here))
    }

    #[test]
    fn own_memory_counts_and_mapped_files_do_not() {
        let (all, client) = (Arc::new(Unsent::new(10_000)), client());
        let piece = || Bytes::from(vec![0; 5_000]);
        let mapped = all.count(&client, vec![piece(), piece()], 10_000);
        assert!(!all.is_full());
        let own = all.count(&client, vec![piece(), piece()], 0);
        assert!(all.is_full());
        drop((own, mapped));
        assert_eq!(
            (all.bytes(), client.unsent_bytes.load(Ordering::Relaxed)),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken() {
        let (all, client) = (Arc::new(Unsent::new(100)), client());
        let reply = all.count(&client, Vec::new(), 0);
        let mut room = Box::pin(all.room());
        assert!(room.as_mut().now_or_never().is_none());
        drop(reply);
        room.await;
    }
}
