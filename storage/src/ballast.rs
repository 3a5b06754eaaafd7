//! A little space kept back, so that a full disk does not keep records from being deleted: that
//! needs a checkpoint to be written first.
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Enough for the checkpoint files of thousands of partitions.
const BYTES: u64 = 1024 * 1024;
const FILE: &str = ".ballast";

/// The file that holds the space.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Takes the space in `data_dir`, if there is any.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let ballast = Self {
            path: data_dir.join(FILE),
        };
        ballast.take();
        ballast
    }

    /// Takes the space again after it was let go. A disk that is full still is a reason to wait.
    pub(crate) fn take(&self) {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == BYTES) {
            return;
        }
        let taken = File::create(&self.path).and_then(|file| {
            Ok(rustix::fs::fallocate(
                file,
                FallocateFlags::empty(),
                0,
                BYTES,
            )?)
        });
        if taken.is_err() {
            self.let_go();
        }
    }

    /// Gives the space to what has to be written now.
    pub(crate) fn let_go(&self) {
        // If it cannot be removed there is nothing to give.
        let _ = fs::remove_file(&self.path);
    }
}
