//! Which leader epoch began at which offset (KIP-101, KIP-320), kept in `leader-epoch-checkpoint` as
//! Apache Kafka's `LeaderEpochCheckpointFile`: see [`crate::checkpoint`] for the format.
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Checkpoint};
use crate::files::Files;
use crate::{EpochEnd, StorageError};

const FILE: &str = "leader-epoch-checkpoint";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    epoch: i32,
    start_offset: i64,
}

/// The epochs of one log, rising in epoch and in start offset.
#[derive(Debug)]
pub(crate) struct LeaderEpochs {
    path: PathBuf,
    entries: Vec<Entry>,
    /// What the checkpoint says; `None` if that is not known.
    on_disk: Option<Vec<Entry>>,
}

impl LeaderEpochs {
    /// None yet, for the partition folder `dir`.
    pub(crate) fn empty(dir: &Path) -> Self {
        Self {
            path: dir.join(FILE),
            entries: Vec::new(),
            on_disk: Some(Vec::new()),
        }
    }

    /// Reads the checkpoint. A damaged one is as none: the batches above the recovery point tell.
    pub(crate) fn load(files: &Files, dir: &Path) -> Result<Self, StorageError> {
        let mut epochs = Self::empty(dir);
        let mut whole = true;
        match checkpoint::read_lines(files, &epochs.path)? {
            Checkpoint::Absent => {}
            Checkpoint::Damaged => whole = false,
            Checkpoint::Entries(lines) => {
                for line in lines {
                    match parse(&line) {
                        Some((epoch, start_offset)) => epochs.assign(epoch, start_offset),
                        None => whole = false,
                    }
                }
            }
        }
        if !whole {
            tracing::warn!(path = %epochs.path.display(),
                "the leader epochs cannot be read in full");
        }
        epochs.on_disk = whole.then(|| epochs.entries.clone());
        Ok(epochs)
    }

    /// Notes the epoch of the batch at `start_offset`.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) {
        if epoch < 0 {
            return;
        }
        let newer = self
            .entries
            .last()
            .is_none_or(|last| last.epoch < epoch && last.start_offset <= start_offset);
        if newer {
            // An epoch without a record gives way.
            self.entries
                .retain(|entry| entry.start_offset != start_offset);
            self.entries.push(Entry {
                epoch,
                start_offset,
            });
        }
    }

    /// The newest epoch, -1 without one.
    pub(crate) fn latest(&self) -> i32 {
        self.entries.last().map_or(-1, |entry| entry.epoch)
    }

    /// The oldest epoch that has records left.
    pub(crate) fn earliest(&self) -> Option<i32> {
        self.entries.first().map(|entry| entry.epoch)
    }

    /// Where an epoch ends, as Kafka's `LeaderEpochFileCache.endOffsetFor`.
    pub(crate) fn end_of(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEnd> {
        let latest = self.entries.last()?.epoch;
        if epoch < 0 || epoch > latest {
            return None;
        }
        if epoch == latest {
            return Some(EpochEnd {
                leader_epoch: epoch,
                end_offset: log_end_offset,
            });
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let floor = above.checked_sub(1).map(|i| self.entries[i].epoch);
        Some(EpochEnd {
            // Older than all that is known: ends where the first known one begins.
            leader_epoch: floor.unwrap_or(epoch),
            end_offset: self.entries[above].start_offset,
        })
    }

    /// Forgets epochs that begin at or after `offset`.
    pub(crate) fn truncate(&mut self, offset: i64) {
        self.entries.retain(|entry| entry.start_offset < offset);
    }

    /// Forgets epochs that end at or before the log start offset `offset`.
    pub(crate) fn trim_start(&mut self, offset: i64) {
        let above = self.entries.partition_point(|e| e.start_offset <= offset);
        if above > 1 {
            self.entries.drain(..above - 1);
        }
        if let Some(first) = self.entries.first_mut()
            && first.start_offset < offset
        {
            first.start_offset = offset;
        }
    }

    /// What has to be written, if anything: see [`Unwritten::write`].
    pub(crate) fn take_unwritten(&mut self) -> Option<Unwritten> {
        if self.on_disk.as_ref() == Some(&self.entries) {
            return None;
        }
        self.on_disk = Some(self.entries.clone());
        Some(Unwritten {
            path: self.path.clone(),
            entries: self.entries.clone(),
        })
    }

    /// Notes that writing failed and is to be tried again.
    pub(crate) fn set_unwritten(&mut self) {
        self.on_disk = None;
    }
}

/// A copy of the epochs, to be written without a lock held.
#[derive(Debug)]
pub(crate) struct Unwritten {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Unwritten {
    /// Replaces the checkpoint, durably.
    pub(crate) fn write(&self, files: &Files) -> Result<(), StorageError> {
        checkpoint::write_lines(
            files,
            &self.path,
            self.entries
                .iter()
                .map(|entry| format!("{} {}", entry.epoch, entry.start_offset)),
        )
    }
}

fn parse(line: &str) -> Option<(i32, i64)> {
    let (epoch, start_offset) = line.split_once(' ')?;
    Some((epoch.parse().ok()?, start_offset.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = LeaderEpochs::load(&Files::real(), dir.path()).unwrap();
        assert_eq!(epochs.end_of(0, 0), None);
        for (epoch, offset) in [(1, 0), (1, 5), (3, 10), (4, 10), (6, 20)] {
            epochs.assign(epoch, offset);
        }
        epochs
            .take_unwritten()
            .unwrap()
            .write(&Files::real())
            .unwrap();
        assert!(epochs.take_unwritten().is_none());
        let mut epochs = LeaderEpochs::load(&Files::real(), dir.path()).unwrap();
        let end = |epochs: &LeaderEpochs, epoch| {
            let end = epochs.end_of(epoch, 30)?;
            Some((end.leader_epoch, end.end_offset))
        };
        assert_eq!(end(&epochs, 0), Some((0, 0)));
        assert_eq!(end(&epochs, 1), Some((1, 10)));
        assert_eq!(end(&epochs, 3), Some((1, 10)), "epoch 3 wrote nothing");
        assert_eq!(end(&epochs, 5), Some((4, 20)));
        assert_eq!(end(&epochs, 6), Some((6, 30)));
        assert_eq!(end(&epochs, 7), None);
        epochs.trim_start(15);
        assert_eq!(end(&epochs, 1), Some((1, 15)));
        epochs.truncate(20);
        assert_eq!(epochs.latest(), 4);
    }
}
