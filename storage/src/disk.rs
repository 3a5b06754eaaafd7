//! The seam between storage and the disk: every file operation goes through a [`Disk`], but for the
//! lock file and the free space that is asked for.
//!
//! There are two uses for another one than [`RealDisk`]. A simulated disk loses what was not made
//! durable, fails on demand and does the same for the same seed (`storage/tests/crash`). And a disk
//! may keep the segments that nobody appends to elsewhere: [`DiskFile::map`] of a file that was
//! opened with [`Access::Read`] may answer with [`Pages::held`], bytes that came from a remote copy,
//! and nothing above notices.
//!
//! What storage relies on, and no more:
//! - bytes and the length of a file are durable after [`DiskFile::sync_data`], of that file only;
//! - names (of new, renamed and removed files) are durable after [`DiskDir::sync`] of their folder,
//!   not after a sync of the file;
//! - without a sync any part of it may be lost, in any order: a later write kept, an earlier one
//!   not, and a write torn between sectors;
//! - a rename puts the new file in the place of the old one in one step;
//! - after a sync that failed nothing is known of what was written before it.
use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use crate::mapping::Pages;
pub use real::RealDisk;

mod real;

/// Pieces that one system call takes at most; the system allows 1024.
const PIECES_PER_WRITE: usize = 512;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be read; it is there and stays as it is while it is open.
    Read,
    /// To be read and written; it is there.
    Write,
    /// To be read and written; made if it is not there.
    WriteOrCreate,
    /// To be read and written; made if it is not there, emptied if it is.
    Create,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// What is known of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// Its length in bytes.
    pub length: u64,
    /// When it was last written, epoch ms; `None` if the disk does not tell.
    pub modified_ms: Option<i64>,
}

/// Files and folders by path.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a folder.
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>>;
    /// Makes a folder, which must not be there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, rising; those that are no UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// What is known of a file.
    fn info(&self, path: &Path) -> io::Result<FileInfo>;
    /// Gives a file or folder another name in the same folder. A file of that name goes.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
}

/// An open folder. It stays the same one when its name goes to another.
pub trait DiskDir: Debug + Send + Sync {
    /// Removes a file in it.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names in it durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes everything in its file system durable.
    fn sync_file_system(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads from `position` on; fewer bytes than asked for is no error, none is the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes `pieces` one after the other from `position` on. Fewer bytes than given is no error.
    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Takes space for the `length` bytes from `position` on, and makes the file that long at least.
    fn allocate(&self, position: u64, length: u64) -> io::Result<()>;
    /// Where the last bytes from `position` on end that were written: after them, up to the end of
    /// the file, there are only zeros. A disk that does not know answers with the length.
    fn written_end(&self, _position: u64) -> io::Result<u64> {
        self.length()
    }
    /// Cuts it, or makes it longer by zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes its bytes and its length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// As [`DiskFile::sync_data`], with all else that is known of it.
    fn sync_all(&self) -> io::Result<()>;
    /// Sets when it was last written (epoch ms), as [`FileInfo::modified_ms`] tells it. On a disk that
    /// tells no times there is nothing to do.
    fn set_modified(&self, _modified_ms: i64) -> io::Result<()> {
        Ok(())
    }
    /// Shows its first `length` bytes. They may lie beyond its end, and must not be looked at then.
    /// What is written later shows if the file was not opened with [`Access::Read`].
    fn map(&self, length: usize) -> io::Result<Pages>;
}

/// Writes all of `pieces` from `position` on, however many writes that takes.
pub(crate) fn write_all_at(
    file: &dyn DiskFile,
    mut pieces: &mut [IoSlice<'_>],
    mut position: u64,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        let batch = pieces.len().min(PIECES_PER_WRITE);
        match file.write_at(&pieces[..batch], position) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
