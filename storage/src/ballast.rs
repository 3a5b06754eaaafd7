//! A little space kept back, so that a full disk does not keep records from being deleted: that
//! needs a checkpoint to be written first.
use std::path::{Path, PathBuf};

use crate::disk::Access;
use crate::error::failed;
use crate::files::Files;

/// Enough for the checkpoint files of thousands of partitions.
const BYTES: u64 = 1024 * 1024;
const FILE: &str = ".ballast";

/// The file that holds the space.
#[derive(Debug)]
pub(crate) struct Ballast {
    files: Files,
    path: PathBuf,
}

impl Ballast {
    /// Takes the space in `data_dir`, if there is any.
    pub(crate) fn new(files: &Files, data_dir: &Path) -> Self {
        let ballast = Self {
            files: files.clone(),
            path: data_dir.join(FILE),
        };
        ballast.take();
        ballast
    }

    /// Takes the space again after it was let go. A disk that is full still is a reason to wait.
    pub(crate) fn take(&self) {
        if (self.files.info(&self.path)).is_ok_and(|file| file.length == BYTES) {
            return;
        }
        let taken = self
            .files
            .open_for(&self.path, Access::Create)
            .and_then(|file| {
                let taken = file.allocate(0, BYTES);
                taken.map_err(failed("reserve space in", &self.path))
            });
        if taken.is_err() {
            self.let_go();
        }
    }

    /// Gives the space to what has to be written now.
    pub(crate) fn let_go(&self) {
        // If it cannot be removed there is nothing to give.
        let _ = self.files.remove(&self.path);
    }
}
