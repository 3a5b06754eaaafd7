//! A little space kept back, so that a full disk does not keep records from being deleted: that
//! needs a checkpoint to be written first.
use std::path::{Path, PathBuf};

use crate::disk::Access;
use crate::files::Files;

/// Enough for the checkpoint files of thousands of partitions.
const BYTES: u64 = 1024 * 1024;
/// How much of that is asked for, one after the other, where there is not all of it.
const PARTS: [u64; 3] = [BYTES, BYTES / 4, BYTES / 16];
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

    /// Takes the space again after it was let go, or what there is of it. A disk that is full still
    /// is a reason to wait.
    pub(crate) fn take(&self) {
        let taken = self.files.info(&self.path).map_or(0, |file| file.length);
        if taken >= BYTES {
            return;
        }
        let Ok(file) = self.files.open_for(&self.path, Access::WriteOrCreate) else {
            return;
        };
        let more = PARTS.into_iter().filter(|bytes| *bytes > taken);
        let _ = more
            .map(|bytes| file.allocate(0, bytes))
            .find(Result::is_ok);
    }

    /// Gives the space to what has to be written now.
    pub(crate) fn let_go(&self) {
        // If it cannot be removed there is nothing to give.
        let _ = self.files.remove(&self.path);
    }
}
