//! Small files that are replaced as a whole: after a crash at any point the old or the new content
//! is there, never a mixture.
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::error::failed;

/// Replaces the file at `path`: write a temporary file, fsync it, rename it over the old one, fsync
/// the directory.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    stage(path, content, true)?;
    sync_parent(path)
}

/// As [`replace`], without any fsync: for files whose loss is noticed and mended.
pub(crate) fn replace_unsynced(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    stage(path, content, false)
}

fn stage(path: &Path, content: &[u8], sync: bool) -> Result<(), StorageError> {
    let temporary = temporary_path(path);
    let staged = write(&temporary, content, sync)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("rename", &temporary)));
    if staged.is_err() {
        // What is there of it would take space that is needed.
        let _ = fs::remove_file(&temporary);
    }
    staged
}

fn write(path: &Path, content: &[u8], sync: bool) -> Result<(), StorageError> {
    let mut file = File::create(path).map_err(failed("create", path))?;
    file.write_all(content).map_err(failed("write", path))?;
    if sync {
        file.sync_data().map_err(failed("sync", path))?;
    }
    Ok(())
}

/// Kafka's name for a file that is being written.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes the names in the directory that holds `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StorageError> {
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}

/// Makes the content of the file at `path` durable.
pub(crate) fn sync_file(path: &Path) -> Result<(), StorageError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(failed("sync", path))
}

/// Removes a file; one that is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
