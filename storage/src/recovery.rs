//! Opening the folder of one partition: what was closed in order is trusted; after a crash, what
//! lies above the recovery point is checked batch by batch.
use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::StorageError;
use crate::cleaner::swap;
use crate::disk::{self, Access, DiskFile};
use crate::error::failed;
use crate::files::{self, Files};
use crate::indexes::Indexes;
use crate::leader_epochs::LeaderEpochs;
use crate::mapping::Mapping;
use crate::producer_state::Producers;
use crate::segment::{Segment, file_name};
use crate::txn_index::{self, AbortedIndex};
use scan::{Scan, keep_copy};

mod gaps;
pub(crate) mod producers;
mod scan;

/// How much of a file is written again at once.
const BLOCK: usize = 64 * 1024;

/// What is known of a log before its folder is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Whether the last shutdown was clean.
    pub(crate) clean: bool,
    /// Everything below is durable and whole; `None` if that cannot be told any more.
    pub(crate) recovery_point: Option<i64>,
    /// The log start offset, unless the first segment's is above.
    pub(crate) start: i64,
    /// Everything below was compacted.
    pub(crate) cleaned: i64,
    /// `index.interval.bytes` for indexes that are built again.
    pub(crate) index_interval_bytes: u32,
}

/// A log as it was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// At least one.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Producers as of the end.
    pub(crate) producers: Producers,
    /// Offset of the newest snapshot.
    pub(crate) snapshot_offset: Option<i64>,
    /// Aborted transactions.
    pub(crate) aborted: AbortedIndex,
    /// Leader epochs up to the end.
    pub(crate) epochs: LeaderEpochs,
    /// Log start offset.
    pub(crate) start: i64,
    /// Log end offset.
    pub(crate) end: i64,
    /// Everything below needs no look at the next start.
    pub(crate) recovery_point: i64,
    /// Batches whose checksum was verified.
    pub(crate) scanned_batches: u64,
    /// Bytes cut off, apart from zeros.
    pub(crate) truncated_bytes: u64,
}

impl Recovered {
    /// A log without records in the new folder `dir`.
    pub(crate) fn fresh(files: &Files, dir: &Path) -> Self {
        Self {
            segments: vec![Arc::new(Segment::new(files, dir, 0))],
            producers: Producers::default(),
            snapshot_offset: None,
            aborted: AbortedIndex::default(),
            epochs: LeaderEpochs::empty(dir),
            start: 0,
            end: 0,
            recovery_point: 0,
            scanned_batches: 0,
            truncated_bytes: 0,
        }
    }
}

/// Opens the partition folder `dir`.
pub(crate) fn open(files: &Files, dir: &Path, known: Known) -> Result<Recovered, StorageError> {
    let mut found = list(files, dir)?;
    if !found.of_swap.is_empty() {
        swap::complete(files, dir, &found.of_swap, &found.logs)?;
        found = list(files, dir)?;
    }
    let mut bases = found.logs;
    while bases.len() > 1 && bases[1] <= known.start {
        // Deleted, but the crash was faster than the unlinking.
        for name in Segment::new(files, dir, bases.remove(0)).file_names() {
            files.remove(&dir.join(name))?;
        }
    }
    let mut opened = Opening {
        files,
        dir,
        known,
        recovered: Recovered::fresh(files, dir),
        names_dirty: false,
        is_torn: false,
        txn_indexes: found.txn_indexes,
        scanned: HashSet::new(),
    };
    opened.recovered.segments.clear();
    opened.recovered.epochs = LeaderEpochs::load(files, dir)?;
    if known.clean {
        opened.trust(&bases)?;
    } else {
        opened.check(&bases)?;
    }
    opened.finish()
}

struct Opening<'a> {
    files: &'a Files,
    dir: &'a Path,
    known: Known,
    recovered: Recovered,
    /// Whether the folder has names that may not be durable.
    names_dirty: bool,
    /// Whether the segment that was looked at last was cut, or set aside.
    is_torn: bool,
    /// Base offsets in the names of indexes of aborted transactions.
    txn_indexes: Vec<i64>,
    /// Base offsets of the segments that were looked through.
    scanned: HashSet<i64>,
}

impl Opening<'_> {
    /// Takes segments as they are; only the end of the last one is looked at.
    fn trust(&mut self, bases: &[i64]) -> Result<(), StorageError> {
        let Some((&last, sealed)) = bases.split_last() else {
            return Ok(());
        };
        for &base_offset in sealed {
            self.push(Segment::existing(self.files, self.dir, base_offset)?);
        }
        let segment = Segment::existing(self.files, self.dir, last)?;
        self.recovered.end = last;
        if segment.size() > 0 {
            let end = segment.contents()?.end_offset(last);
            // What ends above the recovery point of a clean shutdown has a wrong offset.
            let point = self.known.recovery_point;
            let Some(end) = end.filter(|end| point.is_none_or(|point| *end <= point)) else {
                tracing::warn!(path = %segment.log_path().display(),
                    "the end of a log that was closed in order is damaged");
                let recovery_point = self.known.recovery_point.unwrap_or_default();
                return self.scan(last, None, recovery_point);
            };
            self.recovered.end = end;
            segment.release();
        }
        self.push(segment);
        Ok(())
    }

    /// Checks the segments from the one on that holds the last batch below the recovery point: it may
    /// have been the active one when that was written, and not be sealed.
    fn check(&mut self, bases: &[i64]) -> Result<(), StorageError> {
        let last = bases.last().copied().unwrap_or_default();
        let recovery_point = self.known.recovery_point.unwrap_or(last);
        let first = bases
            .partition_point(|&base_offset| base_offset < recovery_point)
            .saturating_sub(1);
        for &base_offset in &bases[..first.min(bases.len())] {
            let segment = Segment::existing(self.files, self.dir, base_offset)?;
            if self.known.recovery_point.is_none() {
                // They are vouched for from now on, and may be in the page cache only.
                self.files.sync_file(&segment.log_path())?;
                self.names_dirty = true;
            }
            self.push(segment);
        }
        // What was not vouched for may be of records that are gone: the batches tell.
        self.recovered.epochs.truncate(recovery_point);
        for (i, &base_offset) in bases.iter().enumerate().skip(first) {
            let gap = i > first && base_offset != self.recovered.end;
            if gap && base_offset > recovery_point && !self.is_left_by_cleaner(&bases[i - 1..])? {
                self.set_aside(base_offset)?;
                continue;
            }
            self.recovered.end = base_offset;
            self.scan(base_offset, bases.get(i + 1).copied(), recovery_point)?;
            if let Some(segment) = self.recovered.segments.last()
                && i + 1 < bases.len()
            {
                // On a full disk too the log has to open: nothing can be deleted otherwise.
                if let Err(error) = segment.write_indexes() {
                    tracing::warn!(%error,
                        "an index is not written; it will be built from the batches");
                }
                segment.sync_indexes()?;
                segment.release();
            }
        }
        Ok(())
    }

    fn push(&mut self, segment: Segment) {
        self.recovered.segments.push(Arc::new(segment));
    }

    /// Checks one segment and cuts it after its last good batch; `next` is where the one after it
    /// begins.
    fn scan(
        &mut self,
        base_offset: i64,
        next: Option<i64>,
        recovery_point: i64,
    ) -> Result<(), StorageError> {
        self.scanned.insert(base_offset);
        let path = self.dir.join(file_name(base_offset, "log"));
        let file = self.files.open_for(&path, Access::Write)?;
        let length = file.length().map_err(failed("inspect", &path))?;
        let mapping =
            Mapping::readable(file.as_ref(), length as usize).map_err(failed("map", &path))?;
        let bytes = mapping.bytes();
        let mut scan = Scan::new(bytes, base_offset, next, recovery_point);
        let mut indexes = Indexes::default();
        while let Some(found) = scan.next_good() {
            let header = &found.header;
            let interval = self.known.index_interval_bytes;
            indexes.note(base_offset, header, found.position, interval);
            self.recovered
                .epochs
                .assign(header.leader_epoch, header.base_offset);
        }
        self.recovered.scanned_batches += scan.batches;
        self.recovered.end = scan.next_offset;
        let mut end = scan.position;
        // With batches below the recovery point and none above, file and name are as they were when
        // that was written, but for zeros, which are cut again at the next start if need be.
        let mut is_durable = self.known.recovery_point.is_some_and(|p| base_offset < p)
            && scan.first_verified.is_none();
        self.is_torn = false;
        if scan.next_offset < recovery_point {
            // Durable once, damaged since: stays where it is and is read as such. The log goes on in
            // a new segment.
            end = bytes.len();
        } else if end < bytes.len() {
            self.is_torn = true;
            let written = file
                .written_end(end as u64)
                .map_err(failed("inspect", &path))?;
            let written = bytes.len().min(written as usize).max(end);
            let torn = keep_copy(self.files, &path, &bytes[..written], end)?;
            self.recovered.truncated_bytes += torn;
            file.set_length(end as u64).map_err(failed("cut", &path))?;
            is_durable &= torn == 0;
        }
        // What a crash of the process left in the page cache only is promised from now on. If a sync
        // failed before that crash, the system takes those pages for clean: only what is written
        // again is sure to get to the disk.
        if let Some(from) = scan.first_verified
            && from < end
        {
            write_again(file.as_ref(), &bytes[from..end], from).map_err(failed("write", &path))?;
        }
        if !is_durable {
            file.sync_all().map_err(failed("sync", &path))?;
            self.names_dirty = true;
        }
        drop(mapping);
        let segment = Segment::existing(self.files, self.dir, base_offset)?;
        if end > 0 {
            segment.load_with(indexes)?;
        }
        self.push(segment);
        Ok(())
    }

    /// Takes a segment after a torn one out of the log, and keeps its file.
    fn set_aside(&mut self, base_offset: i64) -> Result<(), StorageError> {
        self.names_dirty = true;
        self.is_torn = true;
        let segment = Segment::existing(self.files, self.dir, base_offset)?;
        let path = segment.log_path();
        self.recovered.truncated_bytes += segment.size();
        let aside = path.with_extension("log.corrupt");
        tracing::warn!(path = %path.display(), "a segment after a torn one is set aside as .corrupt");
        self.files.rename(&path, &aside)?;
        self.files.remove(&segment.path("index"))?;
        self.files.remove(&segment.path("timeindex"))?;
        self.files.remove(&segment.path("txnindex"))?;
        Ok(())
    }

    /// Sees to it that no offset is given out twice, and puts the producers back.
    fn finish(mut self) -> Result<Recovered, StorageError> {
        let recovery_point = self.known.recovery_point.unwrap_or_default();
        let floor = self.known.start.max(recovery_point);
        if self.recovered.end < floor {
            if !self.recovered.segments.is_empty() {
                tracing::error!(dir = %self.dir.display(), end = self.recovered.end, known = floor,
                    "records that were durable are damaged or gone; the log goes on after them");
            }
            self.recovered.end = floor;
            self.push(Segment::create(self.files, self.dir, floor)?);
            self.names_dirty = true;
        }
        if self.recovered.segments.is_empty() {
            self.push(Segment::new(self.files, self.dir, self.recovered.end));
        }
        let mut recovered = self.recovered;
        let first = recovered.segments[0].base_offset();
        recovered.start = self.known.start.max(first);
        recovered.epochs.truncate(recovered.end);
        let (segments, end) = (&recovered.segments, recovered.end);
        let restored = producers::restore(self.files, self.dir, segments, end)?;
        recovered.producers = restored.producers;
        recovered.snapshot_offset = restored.snapshot_offset;
        let (named, scanned) = (&self.txn_indexes, &self.scanned);
        recovered.aborted = txn_index::open(self.files, self.dir, segments, end, named, scanned)?;
        for contents in segments.iter().filter_map(|segment| segment.loaded()) {
            contents
                .mapping
                .read_past(&(0..contents.mapping.bytes().len()));
        }
        if self.names_dirty || restored.removed {
            self.files.sync_dir(self.dir)?;
        }
        // Below the recovery point, which is written next, no batch is asked for its epoch again.
        recovered.recovery_point = recovered.end;
        if let Some(epochs) = recovered.epochs.take_unwritten()
            && let Err(error) = epochs.write(self.files)
        {
            if error.source.kind() != io::ErrorKind::StorageFull {
                return Err(error);
            }
            recovered.epochs.set_unwritten();
            recovered.recovery_point = recovered.end.min(recovery_point);
        }
        Ok(recovered)
    }
}

/// Writes what is at `position` there once more.
fn write_again(file: &dyn DiskFile, bytes: &[u8], mut position: usize) -> io::Result<()> {
    for block in bytes.chunks(BLOCK) {
        // Not from the mapping of the same pages.
        let block = block.to_vec();
        disk::write_all_at(file, &mut [IoSlice::new(&block)], position as u64)?;
        position += block.len();
    }
    Ok(())
}

/// Offsets in the names of a partition folder's files, rising.
#[derive(Debug, Default)]
struct Listing {
    logs: Vec<i64>,
    snapshots: Vec<i64>,
    txn_indexes: Vec<i64>,
    /// Names of files that a crash in a compaction left.
    of_swap: Vec<String>,
}

/// Reads the names in `dir`; files that were being written at a crash are removed.
fn list(files: &Files, dir: &Path) -> Result<Listing, StorageError> {
    let mut listing = Listing::default();
    for entry in files.list(dir)? {
        let path = dir.join(&entry.name);
        if path.extension().is_some_and(|e| e == files::UNFINISHED) {
            files.remove(&path)?;
            continue;
        }
        let Some((digits, extension)) = entry.name.split_once('.') else {
            continue;
        };
        let Some(offset) = (digits.len() == 20).then(|| digits.parse().ok()).flatten() else {
            continue;
        };
        match extension {
            _ if swap::is_of_swap(&entry.name) => listing.of_swap.push(entry.name.clone()),
            "log" => listing.logs.push(offset),
            "snapshot" => listing.snapshots.push(offset),
            "txnindex" => listing.txn_indexes.push(offset),
            _ => {}
        }
    }
    listing.logs.sort_unstable();
    listing.snapshots.sort_unstable();
    listing.txn_indexes.sort_unstable();
    Ok(listing)
}
