//! The thread that makes space and pages ready ahead of writers, so that an append meets neither
//! `fallocate` nor a page fault.
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::hold::Hold;
use crate::mapping::Mapping;

/// Requests that may wait; a refused one is made again by the next append.
const QUEUE: usize = 256;

/// The queue to the thread.
#[derive(Debug)]
pub(crate) struct Prefaulter {
    queue: std::sync::Mutex<Option<SyncSender<Arc<Mapping>>>>,
}

impl Prefaulter {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, mappings) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("storage-prefault".to_owned())
            .spawn(move || run(&mappings))?;
        let queue = std::sync::Mutex::new(Some(sender));
        Ok((Self { queue }, thread))
    }

    /// Asks for more room in `mapping`, if it is near its end.
    pub(crate) fn hint(&self, mapping: &Arc<Mapping>) {
        if mapping.wants_prefault() {
            let sent = self
                .queue
                .hold()
                .as_ref()
                .is_some_and(|queue| queue.try_send(Arc::clone(mapping)).is_ok());
            if !sent {
                mapping.prefault_refused();
            }
        }
    }

    /// Lets the thread end.
    pub(crate) fn stop(&self) {
        *self.queue.hold() = None;
    }
}

fn run(mappings: &Receiver<Arc<Mapping>>) {
    for mapping in mappings {
        mapping.prefault();
    }
}
