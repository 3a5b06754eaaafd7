//! File operations by path, whose errors say what was done to which path; and small files that are
//! replaced as a whole: after a crash at any point the old or the new content is there, never a
//! mixture.
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StorageError;
use crate::disk::{self, Access, Disk, DiskDir, DiskFile, Entry, FileInfo};
use crate::error::failed;

/// The ending of a file that is being written (Kafka's name).
pub(crate) const UNFINISHED: &str = "tmp";

/// The files of a disk.
#[derive(Debug, Clone)]
pub(crate) struct Files(Arc<dyn Disk>);

impl Files {
    /// Those of `disk`.
    pub(crate) fn of(disk: Arc<dyn Disk>) -> Self {
        Self(disk)
    }

    /// Those of the operating system, for tests.
    #[cfg(test)]
    pub(crate) fn real() -> Self {
        Self(Arc::new(disk::RealDisk))
    }

    /// Opens a file that is there, to be read.
    pub(crate) fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.open_for(path, Access::Read)
    }

    /// Opens a file.
    pub(crate) fn open_for(
        &self,
        path: &Path,
        access: Access,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        let action = match access {
            Access::Create => "create",
            _ => "open",
        };
        self.0.open(path, access).map_err(failed(action, path))
    }

    /// Opens a folder.
    pub(crate) fn open_dir(&self, path: &Path) -> Result<Box<dyn DiskDir>, StorageError> {
        self.0.open_dir(path).map_err(failed("open", path))
    }

    /// What is known of a file.
    pub(crate) fn info(&self, path: &Path) -> Result<FileInfo, StorageError> {
        self.0.info(path).map_err(failed("inspect", path))
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.0.info(path).is_ok()
    }

    /// The names in a folder, rising.
    pub(crate) fn list(&self, dir: &Path) -> Result<Vec<Entry>, StorageError> {
        self.0.list(dir).map_err(failed("read", dir))
    }

    /// The whole content of a file; `None` if there is none.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
        let content = self.0.open(path, Access::Read).and_then(|file| {
            let mut content = vec![0; file.length()? as usize];
            let mut end = 0;
            while end < content.len() {
                match file.read_at(&mut content[end..], end as u64) {
                    Ok(0) => content.truncate(end),
                    Ok(read) => end += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(content)
        });
        match content {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    /// Makes a folder, which must not be there.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), StorageError> {
        self.0.create_dir(path).map_err(failed("create", path))
    }

    /// Gives a file or folder another name in the same folder.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.0.rename(from, to).map_err(failed("rename", from))
    }

    /// Removes a file. Tells whether it was there.
    pub(crate) fn remove(&self, path: &Path) -> Result<bool, StorageError> {
        match self.0.remove(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", path)(error)),
        }
    }

    /// Removes a folder with all in it; one that is not there is as good as removed.
    pub(crate) fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        match self.0.remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Replaces the file at `path`: write a temporary file, sync it, rename it over the old one, sync
    /// the folder.
    pub(crate) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StorageError> {
        self.stage(path, content, true)?;
        self.sync_parent(path)
    }

    /// As [`Files::replace`], without any sync: for files whose loss is noticed and mended.
    pub(crate) fn replace_unsynced(&self, path: &Path, content: &[u8]) -> Result<(), StorageError> {
        self.stage(path, content, false)
    }

    fn stage(&self, path: &Path, content: &[u8], sync: bool) -> Result<(), StorageError> {
        let temporary = temporary_path(path);
        let staged = self
            .write(&temporary, content, sync)
            .and_then(|()| self.rename(&temporary, path));
        if staged.is_err() {
            // What is there of it would take space that is needed.
            let _ = self.0.remove(&temporary);
        }
        staged
    }

    /// Writes a new file, durably if `sync`; its name is not durable.
    pub(crate) fn write(
        &self,
        path: &Path,
        content: &[u8],
        sync: bool,
    ) -> Result<(), StorageError> {
        let file = self.open_for(path, Access::Create)?;
        disk::write_all_at(file.as_ref(), &mut [IoSlice::new(content)], 0)
            .map_err(failed("write", path))?;
        if sync {
            file.sync_data().map_err(failed("sync", path))?;
        }
        Ok(())
    }

    /// Makes the names in the folder that holds `path` durable.
    pub(crate) fn sync_parent(&self, path: &Path) -> Result<(), StorageError> {
        match path.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }

    /// Makes the names in `dir` durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        let synced = self.0.open_dir(dir).and_then(|dir| dir.sync());
        synced.map_err(failed("sync", dir))
    }

    /// Makes the content of the file at `path` durable.
    pub(crate) fn sync_file(&self, path: &Path) -> Result<(), StorageError> {
        let synced = self
            .0
            .open(path, Access::Read)
            .and_then(|file| file.sync_all());
        synced.map_err(failed("sync", path))
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    PathBuf::from(name)
}
