//! One segment: a `.log` file of record batches with its two indexes.
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use crate::StorageError;
use crate::contents::Contents;
use crate::disk::Access;
use crate::error::failed;
use crate::files::Files;
use crate::hold::HoldShared;
use crate::indexes::{Indexes, NO_TIMESTAMP};
use crate::mapping::{Mapping, Tail};
use crate::offset_index::OffsetIndex;
use crate::time_index::{self, TimeEntry, TimeIndex};

/// The largest timestamp has not been looked up.
const UNKNOWN: i64 = i64::MIN;

/// One segment. Its file is mapped and its indexes are loaded when they are first needed.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: i64,
    files: Files,
    dir: PathBuf,
    size: AtomicU64,
    flushed_size: AtomicU64,
    max_timestamp: AtomicI64,
    first_append_ms: AtomicI64,
    last_append_ms: AtomicI64,
    contents: RwLock<Option<Arc<Contents>>>,
    /// Whether it was read since the last [`Segment::release_idle`].
    used: AtomicBool,
    /// Whether the batch was asked that is said to have the largest timestamp.
    is_time_confirmed: AtomicBool,
    /// Whether its contents stay loaded: its files have other names, or are gone.
    pinned: AtomicBool,
}

/// How often a rebuilt index has an entry: Kafka's default for `index.interval.bytes`.
const REBUILT_INTERVAL: u32 = 4096;

impl Segment {
    /// A segment that begins at `base_offset`, without a file as yet.
    pub(crate) fn new(files: &Files, dir: &Path, base_offset: i64) -> Self {
        Self {
            base_offset,
            files: files.clone(),
            dir: dir.to_owned(),
            size: AtomicU64::new(0),
            flushed_size: AtomicU64::new(0),
            max_timestamp: AtomicI64::new(NO_TIMESTAMP),
            first_append_ms: AtomicI64::new(NO_TIMESTAMP),
            last_append_ms: AtomicI64::new(NO_TIMESTAMP),
            contents: RwLock::new(None),
            used: AtomicBool::new(false),
            is_time_confirmed: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
        }
    }

    /// A new segment with an empty file: its name keeps the log end offset over a restart.
    pub(crate) fn create(
        files: &Files,
        dir: &Path,
        base_offset: i64,
    ) -> Result<Self, StorageError> {
        let segment = Self::new(files, dir, base_offset);
        files.open_for(&segment.log_path(), Access::Create)?;
        Ok(segment)
    }

    /// The segment whose file is there, all of it good and durable.
    pub(crate) fn existing(
        files: &Files,
        dir: &Path,
        base_offset: i64,
    ) -> Result<Self, StorageError> {
        let mut segment = Self::new(files, dir, base_offset);
        let info = files.info(&segment.log_path())?;
        let modified_ms = info.modified_ms.unwrap_or(NO_TIMESTAMP);
        segment.set_durable(info.length);
        segment.max_timestamp = AtomicI64::new(UNKNOWN);
        segment.first_append_ms = AtomicI64::new(modified_ms);
        segment.last_append_ms = AtomicI64::new(modified_ms);
        Ok(segment)
    }

    /// A segment that compaction wrote: the mapped file and its indexes, and between which times
    /// (epoch ms) its batches were appended. The file need not have its final name yet.
    pub(crate) fn rewritten(
        files: &Files,
        dir: &Path,
        base_offset: i64,
        (mapping, indexes): (Arc<Mapping>, Indexes),
        appended_ms: Range<i64>,
    ) -> Self {
        let mut segment = Self::new(files, dir, base_offset);
        segment.set_durable(mapping.published() as u64);
        let max = indexes.max.map_or(NO_TIMESTAMP, |max| max.timestamp);
        segment.max_timestamp = AtomicI64::new(max);
        segment.first_append_ms = AtomicI64::new(appended_ms.start);
        segment.last_append_ms = AtomicI64::new(appended_ms.end);
        let indexes = RwLock::new(indexes);
        let contents = Contents { mapping, indexes };
        *segment.contents.exclusive() = Some(Arc::new(contents));
        segment
    }

    /// Offset that its name tells; no record lies below.
    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Bytes of record batches.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn set_durable(&self, size: u64) {
        self.size.store(size, Ordering::Release);
        self.flushed_size.store(size, Ordering::Release);
    }

    /// Wall clock of the first append, or the file's time of change if that was before this start.
    pub(crate) fn first_append_ms(&self) -> i64 {
        self.first_append_ms.load(Ordering::Relaxed)
    }

    /// Wall clock of the last append, likewise.
    pub(crate) fn last_append_ms(&self) -> i64 {
        self.last_append_ms.load(Ordering::Relaxed)
    }

    /// How old its newest record is taken to be at `now_ms`: its timestamp, unless that lies in the
    /// future and after the append. The time of the append alone does not make a record older: the
    /// clock may have been wrong then.
    pub(crate) fn newest_ms(&self, now_ms: i64) -> i64 {
        let appended = self.last_append_ms();
        match self.max_timestamp() {
            NO_TIMESTAMP => appended,
            timestamp if timestamp <= now_ms => timestamp,
            timestamp => timestamp.min(appended),
        }
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(file_name(self.base_offset, extension))
    }

    /// The path of its batches.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.path("log")
    }

    /// The names of all files that go with it.
    pub(crate) fn file_names(&self) -> [String; 5] {
        ["log", "index", "timeindex", "txnindex", "snapshot"]
            .map(|extension| file_name(self.base_offset, extension))
    }

    /// Its largest timestamp, [`NO_TIMESTAMP`] without one.
    pub(crate) fn max_timestamp(&self) -> i64 {
        let known = self.max_timestamp.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return known;
        }
        // The last entry tells; loading all segments for it would take much memory.
        let newest = time_index::read_last(&self.files, &self.path("timeindex")).or_else(|| {
            let contents = self.contents().ok()?;
            let indexes = contents.indexes.shared();
            indexes.max
        });
        let timestamp = newest.map_or(NO_TIMESTAMP, |max| max.timestamp);
        self.max_timestamp.store(timestamp, Ordering::Relaxed);
        timestamp
    }

    /// Whether all its records are older than `age_ms` at `now_ms`. A flipped bit in the time index
    /// must not be why a segment is given up: before it says yes, the batch is asked too.
    pub(crate) fn is_older_than(&self, now_ms: i64, age_ms: i64) -> bool {
        let is_old = || self.newest_ms(now_ms) < now_ms.saturating_sub(age_ms);
        is_old() && self.confirm_max_timestamp() && is_old()
    }

    /// Whether all its records are before `timestamp`, likewise.
    pub(crate) fn is_below(&self, timestamp: i64) -> bool {
        self.max_timestamp() < timestamp
            && self.confirm_max_timestamp()
            && self.max_timestamp() < timestamp
    }

    /// Corrects the largest timestamp if the batch that it is said to be from has another one. False
    /// if that cannot be told.
    fn confirm_max_timestamp(&self) -> bool {
        if self.is_time_confirmed.load(Ordering::Relaxed) {
            return true;
        }
        let confirmed = self.ask_for_max_timestamp();
        // The indexes of one that is appended to are in memory, and true.
        self.is_time_confirmed.store(confirmed, Ordering::Relaxed);
        confirmed
    }

    fn ask_for_max_timestamp(&self) -> bool {
        let Ok(contents) = self.contents() else {
            return false;
        };
        let max = contents.indexes.shared().max;
        if max.is_none_or(|max| contents.has_time(self.base_offset, max)) {
            // The file may have been damaged, and the index be built again when it was loaded.
            let timestamp = max.map_or(NO_TIMESTAMP, |max| max.timestamp);
            self.max_timestamp.store(timestamp, Ordering::Relaxed);
            return true;
        }
        tracing::warn!(path = %self.path("timeindex").display(),
            "a time index is wrong: built again from the batches");
        let bytes = contents.mapping.bytes();
        let mut indexes = Indexes::scan(self.base_offset, bytes, REBUILT_INTERVAL);
        indexes.finish();
        let timestamp = indexes.max.map_or(NO_TIMESTAMP, |max| max.timestamp);
        *contents.indexes.exclusive() = indexes;
        self.max_timestamp.store(timestamp, Ordering::Relaxed);
        true
    }

    /// Its file and indexes, loaded if need be.
    pub(crate) fn contents(&self) -> Result<Arc<Contents>, StorageError> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(contents) = self.contents.shared().as_ref() {
            return Ok(Arc::clone(contents));
        }
        let mut slot = self.contents.exclusive();
        if let Some(contents) = slot.as_ref() {
            return Ok(Arc::clone(contents));
        }
        let mapping = self.map()?;
        let indexes = RwLock::new(self.load_indexes(mapping.bytes())?);
        let contents = Arc::new(Contents { mapping, indexes });
        *slot = Some(Arc::clone(&contents));
        Ok(contents)
    }

    fn map(&self) -> Result<Arc<Mapping>, StorageError> {
        let path = self.log_path();
        let file = self.files.open(&path)?;
        Mapping::readable(file.as_ref(), self.size() as usize).map_err(failed("map", &path))
    }

    /// Loads its contents with indexes that are known to belong to it, whatever is on disk.
    pub(crate) fn load_with(&self, indexes: Indexes) -> Result<(), StorageError> {
        // Not from the files, which may be older.
        let timestamp = indexes.max.map_or(NO_TIMESTAMP, |max| max.timestamp);
        self.max_timestamp.store(timestamp, Ordering::Relaxed);
        let contents = Contents {
            mapping: self.map()?,
            indexes: RwLock::new(indexes),
        };
        *self.contents.exclusive() = Some(Arc::new(contents));
        Ok(())
    }

    /// Its file and indexes if they are loaded.
    pub(crate) fn loaded(&self) -> Option<Arc<Contents>> {
        self.contents.shared().clone()
    }

    fn load_indexes(&self, bytes: &[u8]) -> Result<Indexes, StorageError> {
        let offsets = self
            .files
            .read(&self.path("index"))?
            .and_then(|content| OffsetIndex::decode(&content, self.size()));
        let times = self
            .files
            .read(&self.path("timeindex"))?
            .and_then(|content| TimeIndex::decode(&content));
        // A segment with batches has a largest timestamp at least.
        let times = times.filter(|times| times.last().is_some() || bytes.is_empty());
        let (Some(offsets), Some(times)) = (offsets, times) else {
            if !bytes.is_empty() {
                tracing::warn!(path = %self.log_path().display(),
                    "an index is missing or damaged: built again from the batches");
            }
            let mut indexes = Indexes::scan(self.base_offset, bytes, REBUILT_INTERVAL);
            indexes.finish();
            return Ok(indexes);
        };
        Ok(Indexes::loaded(offsets, times))
    }

    /// Makes it ready for appends, with room for `capacity` bytes in all. The file must be as long as
    /// its batches; it is created if there is none, and counted in `made`, also if an error follows.
    pub(crate) fn activate(
        &self,
        capacity: u32,
        made: &mut u64,
    ) -> Result<(Arc<Contents>, Tail), StorageError> {
        let path = self.log_path();
        let created = self.size() == 0 && !self.files.exists(&path);
        let access = if created {
            Access::WriteOrCreate
        } else {
            Access::Write
        };
        let file = self.files.open_for(&path, access)?;
        *made += u64::from(created);
        let (mapping, tail) = Mapping::writable(file, self.size() as usize, capacity as usize)
            .map_err(failed("map", &path))?;
        // Taken last: after an error they are where they were.
        let indexes = match self.size() {
            0 => Indexes::default(),
            // Loaded anew: readers may hold the ones that are there.
            _ => self.load_or_rescan()?,
        };
        let contents = Arc::new(Contents {
            mapping,
            indexes: RwLock::new(indexes),
        });
        *self.contents.exclusive() = Some(Arc::clone(&contents));
        Ok((contents, tail))
    }

    /// The indexes that are in memory, taken over, or those on disk.
    fn load_or_rescan(&self) -> Result<Indexes, StorageError> {
        let contents = self.contents()?;
        let mut indexes = contents.indexes.exclusive();
        Ok(std::mem::take(&mut *indexes))
    }

    /// Notes an append that `size` bytes are there after.
    pub(crate) fn appended(&self, size: u64, max: Option<TimeEntry>, now_ms: i64) {
        if self.size() == 0 {
            self.first_append_ms.store(now_ms, Ordering::Relaxed);
        }
        self.last_append_ms.store(now_ms, Ordering::Relaxed);
        let timestamp = max.map_or(NO_TIMESTAMP, |max| max.timestamp);
        self.max_timestamp.store(timestamp, Ordering::Relaxed);
        self.size.store(size, Ordering::Release);
    }

    /// Writes both index files as they are in memory. After an error none is there, nor an old one:
    /// they are built again from the batches when they are needed.
    pub(crate) fn write_indexes(&self) -> Result<(), StorageError> {
        let Some(contents) = self.contents.shared().clone() else {
            return Ok(());
        };
        let (offsets, times) = {
            let mut indexes = contents.indexes.exclusive();
            indexes.finish();
            (indexes.offsets.encode(), indexes.times.encode())
        };
        let (index, timeindex) = (self.path("index"), self.path("timeindex"));
        let files = &self.files;
        files
            .replace_unsynced(&index, &offsets)
            .and_then(|()| files.replace_unsynced(&timeindex, &times))
            .inspect_err(|_| {
                let _ = files.remove(&index);
                let _ = files.remove(&timeindex);
            })
    }

    /// Makes both index files durable, but for their names. Files that are gone belong to a segment
    /// that is gone; a file that the disk does not take is removed, to be built again when needed.
    pub(crate) fn sync_indexes(&self) -> Result<(), StorageError> {
        for path in [self.path("index"), self.path("timeindex")] {
            match self.files.sync_file(&path) {
                Ok(()) => {}
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(%error, "an index is not durable and is removed");
                    self.files.remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Makes its batches durable.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        let Some(contents) = self.contents.shared().clone() else {
            return Ok(());
        };
        let flushed = self.flushed_size.load(Ordering::Acquire);
        let size = contents.mapping.published();
        contents
            .mapping
            .flush(flushed as usize)
            .map_err(failed("sync", &self.log_path()))?;
        self.flushed_size.fetch_max(size as u64, Ordering::AcqRel);
        Ok(())
    }

    /// Makes its batches durable and cuts the space that was reserved after them. Its tail must be
    /// gone.
    pub(crate) fn seal(&self) -> Result<(), StorageError> {
        self.flush()?;
        let Some(contents) = self.contents.shared().clone() else {
            return Ok(());
        };
        contents
            .mapping
            .seal()
            .map_err(failed("seal", &self.log_path()))
    }

    /// Whether all its batches are durable.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed_size.load(Ordering::Acquire) == self.size()
    }

    /// Forgets its contents; they load again on demand. For segments that are as on disk only.
    pub(crate) fn release(&self) {
        let mut contents = self.contents.exclusive();
        if !self.pinned.load(Ordering::Relaxed) {
            *contents = None;
        }
    }

    /// Keeps its contents loaded, from before its files get other names on.
    pub(crate) fn pin(&self) -> Result<(), StorageError> {
        self.pinned.store(true, Ordering::Relaxed);
        self.contents().map(drop).inspect_err(|_| self.unpin())
    }

    /// Lets its contents go again when no one uses them.
    pub(crate) fn unpin(&self) {
        self.pinned.store(false, Ordering::Relaxed);
    }

    /// Forgets its contents if no one used them since the last call, or in any case with `all`; they
    /// load again on demand. One that is not sealed yet stays.
    pub(crate) fn release_idle(&self, all: bool) {
        let used = self.used.swap(false, Ordering::Relaxed);
        let sealed = self.loaded().is_some_and(|c| c.mapping.is_sealed());
        if (all || !used) && sealed {
            self.release();
        }
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(base_offset: i64, extension: &str) -> String {
    format!("{base_offset:020}.{extension}")
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    #[test]
    fn what_is_not_sealed_yet_is_not_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let segment = Segment::new(&Files::real(), dir.path(), 0);
        let (_, mut tail) = segment.activate(1 << 20, &mut 0).unwrap();
        tail.reserve(100).unwrap();
        tail.append(&mut [IoSlice::new(&[1; 100])]).unwrap();
        segment.appended(100, None, 0);
        segment.flush().unwrap();
        drop(tail);
        // Durable, rolled, and no one reads it: but its file is longer than its batches.
        segment.release_idle(true);
        segment.seal().unwrap();
        assert_eq!(std::fs::metadata(segment.log_path()).unwrap().len(), 100);
        segment.release_idle(true);
        assert!(segment.loaded().is_none());
    }
}
