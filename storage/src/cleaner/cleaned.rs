//! A segment that takes the place of others, while it is written: `.cleaned` files.
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::record::BatchHeader;

use super::swap;
use crate::StorageError;
use crate::disk::{self, Access, DiskFile};
use crate::error::failed;
use crate::files::Files;
use crate::indexes::Indexes;
use crate::mapping::Mapping;
use crate::segment::Segment;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1024 * 1024;

/// The new segment.
#[derive(Debug)]
pub(super) struct Cleaned {
    files: Files,
    dir: PathBuf,
    base_offset: i64,
    index_interval_bytes: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    size: usize,
    indexes: Indexes,
}

impl Cleaned {
    /// An empty one in `dir`.
    pub(super) fn create(
        files: &Files,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u32,
    ) -> Result<Self, StorageError> {
        let path = dir.join(swap::cleaned_name(base_offset, "log"));
        Ok(Self {
            files: files.clone(),
            dir: dir.to_owned(),
            base_offset,
            index_interval_bytes,
            file: files.open_for(&path, Access::Create)?,
            path,
            buffer: Vec::new(),
            size: 0,
            indexes: Indexes::default(),
        })
    }

    /// Adds a batch.
    pub(super) fn push(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), StorageError> {
        if self.size + batch.len() > i32::MAX as usize {
            // A position has 31 bits. Delete horizons can make a batch larger, by a little.
            return Err(failed("write", &self.path)(
                io::ErrorKind::FileTooLarge.into(),
            ));
        }
        let interval = self.index_interval_bytes;
        self.indexes
            .note(self.base_offset, header, self.size, interval);
        self.size += batch.len();
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let position = (self.size - self.buffer.len()) as u64;
        let pieces = &mut [IoSlice::new(&self.buffer)];
        disk::write_all_at(self.file.as_ref(), pieces, position)
            .map_err(failed("write", &self.path))?;
        self.buffer.clear();
        Ok(())
    }

    /// The segment, durable under its `.cleaned` names, as old as `first` to `last` are.
    pub(super) fn finish(
        mut self,
        first: &Segment,
        last: &Segment,
    ) -> Result<Segment, StorageError> {
        self.write()?;
        let appended_ms = first.first_append_ms()..last.last_append_ms();
        // Retention goes by the time of the last append, over a restart too.
        self.file
            .set_modified(appended_ms.end)
            .and_then(|()| self.file.sync_all())
            .map_err(failed("sync", &self.path))?;
        self.indexes.finish();
        for (extension, content) in [
            ("index", self.indexes.offsets.encode()),
            ("timeindex", self.indexes.times.encode()),
        ] {
            let name = swap::cleaned_name(self.base_offset, extension);
            self.files.write(&self.dir.join(name), &content, true)?;
        }
        let file = self.files.open(&self.path)?;
        let mapping =
            Mapping::readable(file.as_ref(), self.size).map_err(failed("map", &self.path))?;
        Ok(Segment::rewritten(
            &self.files,
            &self.dir,
            self.base_offset,
            (mapping, self.indexes),
            appended_ms,
        ))
    }
}
