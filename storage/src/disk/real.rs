//! The disk of the operating system.
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::{Access, Disk, DiskDir, DiskFile, Entry, FileInfo, Pages};
use crate::hold::Hold;

/// A descriptor kept for a folder that has to be synced when no other is left, so that a flush does
/// not wait for clients to go; the folder that took it is the spare one after. Descriptors belong to
/// the process, and so does this one.
static SPARE: Mutex<Option<Arc<File>>> = Mutex::new(None);

/// The disk of the operating system. Opened files are mapped by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(access != Access::Read);
        options.create(matches!(access, Access::Create | Access::WriteOrCreate));
        options.truncate(access == Access::Create);
        Ok(Arc::new(options.open(path)?))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        let opened = File::open(path);
        let mut spare = SPARE.hold();
        let folder = match opened {
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                // Another thread may be faster; whoever must have the folder asks again.
                drop(spare.take_if(|file| Arc::strong_count(file) == 1));
                let folder = Arc::new(File::open(path)?);
                *spare = Some(Arc::clone(&folder));
                folder
            }
            opened => {
                let folder = Arc::new(opened?);
                if spare.is_none() {
                    *spare = File::open("/dev/null").ok().map(Arc::new);
                }
                folder
            }
        };
        Ok(Box::new(Folder(folder)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                entries.push(Entry { name, is_dir });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn info(&self, path: &Path) -> io::Result<FileInfo> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified().ok();
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(FileInfo {
            length: metadata.len(),
            modified_ms: age.map(|age| age.as_millis() as i64),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}

/// An open folder.
#[derive(Debug)]
struct Folder(Arc<File>);

impl DiskDir for Folder {
    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.0, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&*self.0)?)
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(self, pieces, position)?)
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(self, FallocateFlags::empty(), position, length) {
                Err(Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }

    fn written_end(&self, position: u64) -> io::Result<u64> {
        let mut end = position;
        loop {
            match rustix::fs::seek(self, SeekFrom::Data(end)) {
                Ok(data) => end = rustix::fs::seek(self, SeekFrom::Hole(data))?,
                // None from there on.
                Err(Errno::NXIO) => return Ok(end),
                // The file system does not tell.
                Err(_) => return DiskFile::length(self),
            }
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn set_modified(&self, modified_ms: i64) -> io::Result<()> {
        let age = Duration::from_millis(u64::try_from(modified_ms).unwrap_or_default());
        let modified = UNIX_EPOCH.checked_add(age);
        File::set_modified(self, modified.ok_or(io::ErrorKind::InvalidInput)?)
    }

    fn map(&self, length: usize) -> io::Result<Pages> {
        Pages::map(self, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_taken_after_the_last_write_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.open(&path, Access::WriteOrCreate).unwrap();
        file.allocate(0, 1 << 20).unwrap();
        let write = |at| file.write_at(&[IoSlice::new(b"text")], at).unwrap();
        write(0);
        let end = file.written_end(0).unwrap();
        assert!((4..1 << 20).contains(&end), "{end}");
        assert_eq!(file.written_end(500_000).unwrap(), 500_000);
        write(600_000);
        let end = file.written_end(0).unwrap();
        assert!((600_004..1 << 20).contains(&end), "{end}");
        file.sync_all().unwrap();
        assert_eq!(file.written_end(0).unwrap(), end);
    }
}
