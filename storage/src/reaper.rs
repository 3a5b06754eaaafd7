//! A thread for what is slow and urgent to no one: unmapping large files and unlinking.
//!
//! One for the process, since a mapping may outlive the set of logs that it came from.
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::disk::{DiskDir, Pages};
use crate::files::Files;

/// More than this many jobs waiting: the caller does its own.
const QUEUE: usize = 1024;

enum Job {
    Unmap(Pages),
    /// Of a folder that is held open, since its name may soon be another folder's.
    Unlink(Box<dyn DiskDir>, Vec<String>),
    RemoveDir(Files, PathBuf),
    Tell(SyncSender<()>),
}

/// Unmaps off the caller's thread.
pub(crate) fn dispose(pages: Pages) {
    submit(Job::Unmap(pages));
}

/// Removes files of the folder `dir` that are known to be rubbish; what fails is tried again at the
/// next start. With `at_once` not off the caller's thread.
pub(crate) fn unlink(files: &Files, dir: &Path, names: Vec<String>, at_once: bool) {
    match files.open_dir(dir) {
        Ok(dir) => place(Job::Unlink(dir, names), at_once),
        Err(error) => warn_stays(&dir.display(), &error.source),
    }
}

fn warn_stays(path: &dyn std::fmt::Display, error: &std::io::Error) {
    tracing::warn!(%path, %error, "a deleted segment's file stays until the next start");
}

/// Removes a directory with all in it, likewise.
pub(crate) fn remove_dir(files: &Files, path: PathBuf, at_once: bool) {
    place(Job::RemoveDir(files.clone(), path), at_once);
}

fn place(job: Job, at_once: bool) {
    if at_once {
        run(job);
    } else {
        submit(job);
    }
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
        Job::Unmap(pages) => drop(pages),
        Job::Tell(waiter) => {
            // Whoever waited may be gone.
            let _ = waiter.send(());
        }
        Job::Unlink(dir, names) => {
            for name in names {
                match dir.remove(&name) {
                    Err(error) if error.kind() != ErrorKind::NotFound => warn_stays(&name, &error),
                    _ => {}
                }
            }
        }
        Job::RemoveDir(files, path) => {
            if let Err(error) = files.remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error,
                    "a deleted partition's folder stays until the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use super::*;
    use crate::config::{sample, sample_options};
    use crate::{Append, Logs, Origin};

    #[test]
    fn files_of_a_topic_made_again_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, _) = Logs::open(sample_options(dir.path()), &sample()).unwrap();
        let mut batch = BatchBuilder::new();
        batch.push(0, None, Some(b"value"));
        let batch = batch.build();
        let how = Append {
            origin: Origin::Client,
            leader_epoch: 0,
            now_ms: 0,
        };
        let log = logs.create("t", 0, [1; 16], sample()).unwrap();
        log.append(&batch, how).unwrap();
        // The thread is busy with something else, until this is received.
        let (busy, done) = sync_channel(0);
        submit(Job::Tell(busy));
        log.delete_records(1).unwrap();
        logs.delete("t", 0).unwrap();
        let log = logs.create("t", 0, [2; 16], sample()).unwrap();
        log.append(&batch, how).unwrap();
        done.recv().unwrap();
        drain();
        assert!(dir.path().join("t-0/00000000000000000000.log").exists());
    }
}
