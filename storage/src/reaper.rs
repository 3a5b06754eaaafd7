//! A thread for what is slow and urgent to no one: unmapping large files and unlinking.
//!
//! One for the process, since a mapping may outlive the set of logs that it came from.
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use memmap2::MmapRaw;

/// More than this many jobs waiting: the caller does its own.
const QUEUE: usize = 1024;

enum Job {
    Unmap(MmapRaw),
    Unlink(Vec<PathBuf>),
    RemoveDir(PathBuf),
    Tell(SyncSender<()>),
}

/// Unmaps off the caller's thread.
pub(crate) fn dispose(map: MmapRaw) {
    submit(Job::Unmap(map));
}

/// Removes files that are known to be rubbish; what fails is tried again at the next start.
pub(crate) fn unlink(paths: Vec<PathBuf>) {
    submit(Job::Unlink(paths));
}

/// Removes a directory with all in it, likewise.
pub(crate) fn remove_dir(path: PathBuf) {
    submit(Job::RemoveDir(path));
}

/// Waits for all that was submitted before: files of a directory must not vanish under who opens it
/// next.
pub(crate) fn drain() {
    let (sender, done) = sync_channel(1);
    submit(Job::Tell(sender));
    // An error means that the thread is gone, and its jobs with it.
    let _ = done.recv();
}

fn submit(job: Job) {
    static QUEUE_IN: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let queue = QUEUE_IN.get_or_init(|| {
        let (sender, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("storage-reaper".to_owned())
            .spawn(move || jobs.into_iter().for_each(run))
            .ok()
            .map(|_| sender)
    });
    match queue {
        Some(queue) => {
            if let Err(error) = queue.try_send(job) {
                use std::sync::mpsc::TrySendError::{Disconnected, Full};
                let (Full(job) | Disconnected(job)) = error;
                match job {
                    // Has to wait for its turn.
                    Job::Tell(_) => {
                        let _ = queue.send(job);
                    }
                    job => run(job),
                }
            }
        }
        None => run(job),
    }
}

fn run(job: Job) {
    match job {
        Job::Unmap(map) => drop(map),
        Job::Tell(waiter) => {
            // Whoever waited may be gone.
            let _ = waiter.send(());
        }
        Job::Unlink(paths) => {
            for path in paths {
                if let Err(error) = crate::atomic_file::remove(&path) {
                    tracing::warn!(%error, "a deleted segment's file stays until the next start");
                }
            }
        }
        Job::RemoveDir(path) => {
            if let Err(error) = std::fs::remove_dir_all(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error,
                    "a deleted partition's folder stays until the next start");
            }
        }
    }
}
