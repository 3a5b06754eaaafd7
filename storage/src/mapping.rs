//! Segment files in memory. All `unsafe` of this crate is here.
//!
//! A file is mapped once, read-only, at the largest size it may reach; that costs address space only.
//! Appends are `pwritev`s to the same file, which is cheaper than a copy into the mapping (see
//! `docs/decisions/0006`), and both show the same page cache. The file grows by `fallocate` in steps:
//! a full disk is an error of [`Tail::reserve`], before any byte is written.
//!
//! ```text
//! 0            published         allocated (= file length)       capacity (= mapped)
//! |  immutable  |  not looked at yet   |   must not be touched    |
//! ```
//!
//! What makes this sound, for all of the module:
//! - A byte below `published` is never written again and never unmapped or cut from its file while a
//!   [`Mapping`] that shows it lives. Cutting a log below `published` makes a new file and mapping.
//! - No byte is ever written through a mapping. Bytes at or above `published` are written by the one
//!   [`Tail`], through the file, and not looked at.
//! - `published` only grows, by the tail, with release order after the bytes are written; readers
//!   load it with acquire order.
//! - The lock file keeps other processes of this kind away. A stranger who cuts a segment file while
//!   it is mapped kills the process with SIGBUS: nothing in a process can guard against that.
#![expect(
    unsafe_code,
    reason = "slices of a mapping cannot be made without; the module says why they are sound"
)]
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use crate::disk::{self, DiskFile};
use crate::hold::Hold;
use crate::reaper;

/// The page size that ranges are rounded to; also right where pages are larger, then more is done.
const PAGE: usize = 4096;
/// The first `fallocate` of a file, and the largest one. In between, a file doubles.
const STEP: Range<usize> = 64 * 1024..16 * 1024 * 1024;
/// A mapping with more pages than this is unmapped by the reaper.
const UNMAP_INLINE_BYTES: usize = 1024 * 1024;
/// The end of a file that is being written is taken to be in the page cache.
const HOT_BYTES: usize = 16 * 1024 * 1024;
/// What was read leaves the process's memory in blocks of this size.
const BLOCK: usize = 64 * 1024;

/// Mappings that are there, of which a process may have 65 530 (`vm.max_map_count`).
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many segment files are mapped.
pub(crate) fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// What a file shows of itself: see [`DiskFile::map`].
#[derive(Debug)]
pub struct Pages(Kind);

#[derive(Debug)]
enum Kind {
    Mapped(MmapRaw),
    Held(Bytes),
}

impl Pages {
    /// The first `length` bytes of `file`, mapped for reading. No byte is looked at.
    pub(crate) fn map(file: &File, length: usize) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(length);
        let map = options.map_raw_read_only(file)?;
        LIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Kind::Mapped(map)))
    }

    /// Bytes that are in memory, of a file that stays as it is: from a simulation, or a remote copy.
    pub fn held(bytes: Bytes) -> Self {
        Self(Kind::Held(bytes))
    }

    fn mapped(&self) -> Option<&MmapRaw> {
        match &self.0 {
            Kind::Mapped(map) => Some(map),
            Kind::Held(_) => None,
        }
    }

    fn len(&self) -> usize {
        match &self.0 {
            Kind::Mapped(map) => map.len(),
            Kind::Held(bytes) => bytes.len(),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.mapped().is_some() {
            LIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A mapped segment file.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// `None` while it is dropped, and for [`Mapping::empty`].
    pages: Option<Pages>,
    published: AtomicUsize,
    allocated: AtomicUsize,
    /// Bytes that were there when it was mapped.
    found: usize,
    /// Whether the [`Tail`] lives.
    writable: AtomicBool,
    /// `None` once the file is sealed. Held while the file's length changes.
    file: Mutex<Option<Arc<dyn DiskFile>>>,
}

/// The right to append to a [`Mapping`]. There is one at most.
#[derive(Debug)]
pub(crate) struct Tail {
    mapping: Arc<Mapping>,
    file: Arc<dyn DiskFile>,
    /// What a failed append left could not be cut off.
    torn: bool,
}

impl Mapping {
    /// Maps `file`, whose first `published` bytes are record batches, with room for `capacity` bytes.
    /// Space that was reserved after the batches is given back.
    pub(crate) fn writable(
        file: Arc<dyn DiskFile>,
        published: usize,
        capacity: usize,
    ) -> io::Result<(Arc<Self>, Tail)> {
        let length = file.length()? as usize;
        if length < published {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is shorter than its batches",
            ));
        }
        if length > published {
            file.set_length(published as u64)?;
        }
        let pages = file.map(capacity.max(published).max(PAGE))?;
        if pages.len() < published {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mapping = Arc::new(Self::over(Some(pages), published, true));
        *mapping.file.hold() = Some(Arc::clone(&file));
        let tail = Tail {
            mapping: Arc::clone(&mapping),
            file,
            torn: false,
        };
        Ok((mapping, tail))
    }

    /// Maps the first `published` bytes of `file` for reading.
    pub(crate) fn readable(file: &dyn DiskFile, published: usize) -> io::Result<Arc<Self>> {
        if published == 0 {
            // An empty mapping is an error of the system.
            return Ok(Self::empty());
        }
        if (file.length()? as usize) < published {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let pages = file.map(published)?;
        if pages.len() < published {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Arc::new(Self::over(Some(pages), published, false)))
    }

    fn over(pages: Option<Pages>, published: usize, writable: bool) -> Self {
        Self {
            pages,
            published: AtomicUsize::new(published),
            allocated: AtomicUsize::new(published),
            found: published,
            writable: AtomicBool::new(writable),
            file: Mutex::new(None),
        }
    }

    /// Of no file and without bytes.
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self::over(None, 0, false))
    }

    fn pages(&self) -> &Pages {
        let pages = self.pages.as_ref();
        pages.expect("an empty mapping has no bytes")
    }

    /// Bytes that may be read.
    pub(crate) fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// All bytes that may be read.
    pub(crate) fn bytes(&self) -> &[u8] {
        let published = self.published();
        if published == 0 {
            return &[];
        }
        match &self.pages().0 {
            // SAFETY: the mapping lives as long as `self`; `published` bytes of it are within the
            // file, initialised and immutable (see the module).
            Kind::Mapped(map) => unsafe { std::slice::from_raw_parts(map.as_ptr(), published) },
            Kind::Held(bytes) => &bytes[..published],
        }
    }

    /// A slice that keeps the mapping alive. The range must lie within [`Mapping::bytes`].
    pub(crate) fn slice(self: &Arc<Self>, range: Range<usize>) -> Bytes {
        assert!(
            range.start <= range.end && range.end <= self.published(),
            "a slice past the published end"
        );
        Bytes::from_owner(Slice {
            mapping: Arc::clone(self),
            range,
        })
    }

    /// Whether the bytes from `position` on were appended while this mapping was there.
    pub(crate) fn is_own(&self, position: usize) -> bool {
        position >= self.found
    }

    /// Whether the range was just written, which saves asking the system.
    pub(crate) fn is_hot(&self, range: &Range<usize>) -> bool {
        self.writable.load(Ordering::Relaxed)
            && self.is_own(range.start)
            && range.start + HOT_BYTES >= self.published()
    }

    /// Whether the page cache holds all of the range, so that touching it does not block.
    pub(crate) fn is_resident(&self, range: Range<usize>) -> bool {
        let Some(map) = self.pages.as_ref().and_then(Pages::mapped) else {
            return true;
        };
        let start = range.start / PAGE * PAGE;
        let end = range.end.min(self.published());
        let mut pages = [0_u8; 256];
        let mut at = start;
        while at < end {
            let length = (end - at).min(pages.len() * PAGE);
            // SAFETY: `at` is page-aligned and the range lies in the mapping; one byte of `pages` is
            // written for each page of the range, and it has room for that many.
            let done = unsafe {
                libc::mincore(map.as_mut_ptr().add(at).cast(), length, pages.as_mut_ptr())
            };
            let touched = &pages[..length.div_ceil(PAGE)];
            if done != 0 || touched.iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += length;
        }
        true
    }

    /// Makes the published bytes durable, of which those below `from` are, and the file's length.
    pub(crate) fn flush(&self, from: usize) -> io::Result<()> {
        if from >= self.published() {
            return Ok(());
        }
        let file = self.file.hold().clone();
        match file {
            Some(file) => file.sync_data(),
            // Sealed since: all of it is durable.
            None => Ok(()),
        }
    }

    /// Cuts the file to its published length and makes that durable, once the tail is gone.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let mut file = self.file.hold();
        let Some(open) = file.as_ref() else {
            return Ok(());
        };
        assert!(
            !self.writable.load(Ordering::Acquire),
            "sealed while a tail lives"
        );
        let published = self.published();
        self.allocated.store(published, Ordering::Release);
        open.set_length(published as u64)?;
        open.sync_all()?;
        *file = None;
        Ok(())
    }

    /// Cuts the file to its published length, durably, under a tail that goes on.
    fn cut_remains(&self, file: &dyn DiskFile) -> io::Result<()> {
        let _held = self.file.hold();
        let published = self.published();
        self.allocated.store(published, Ordering::Release);
        file.set_length(published as u64)?;
        file.sync_data()
    }

    /// Whether the file is as long as its batches and all of it durable.
    pub(crate) fn is_sealed(&self) -> bool {
        // Who holds the lock changes the file's length.
        self.file.try_lock().is_ok_and(|file| file.is_none())
    }

    /// Grows the file to at least `end` bytes.
    fn allocate(&self, end: usize) -> io::Result<()> {
        let file = self.file.hold();
        let allocated = self.allocated.load(Ordering::Acquire);
        if end <= allocated {
            return Ok(());
        }
        let Some(file) = file.as_ref() else {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        };
        if !self.writable.load(Ordering::Acquire) || end > self.pages().len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let step = allocated.clamp(STEP.start, STEP.end);
        let wanted = end.max(allocated + step).min(self.pages().len());
        // With little space left, take no more than is needed.
        let grow = |to: usize| file.allocate(allocated as u64, (to - allocated) as u64);
        let grown = grow(wanted)
            .map(|()| wanted)
            .or_else(|_| grow(end).map(|()| end))?;
        self.allocated.store(grown, Ordering::Release);
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let touched = *self.allocated.get_mut();
        let Some(pages) = self.pages.take() else {
            return;
        };
        if touched > UNMAP_INLINE_BYTES {
            reaper::dispose(pages);
        }
    }
}

impl Tail {
    /// The mapping it appends to.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.mapping.pages().len() - self.mapping.published.load(Ordering::Relaxed)
    }

    /// Makes sure that `length` bytes can be appended; the only step of an append that can fail.
    pub(crate) fn reserve(&mut self, length: usize) -> io::Result<()> {
        let end = self.mapping.published.load(Ordering::Relaxed) + length;
        if end <= self.mapping.allocated.load(Ordering::Acquire) {
            return Ok(());
        }
        self.mapping.allocate(end)
    }

    /// Writes `pieces` one after the other and publishes them. They must be reserved. After an error
    /// nothing is published, and the next append goes to the same place.
    ///
    /// Whole batches of an append that failed half-way would come back after a crash, behind the
    /// append that takes their place if its first batches are as long: they are cut off for good
    /// first. If that fails too nothing is known of the end of the file, see [`Tail::is_torn`].
    pub(crate) fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let start = self.mapping.published.load(Ordering::Relaxed);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(
            start + length <= self.mapping.allocated.load(Ordering::Acquire),
            "appended without space reserved"
        );
        if self.torn {
            return Err(io::Error::other("an earlier append left its remains"));
        }
        let written = disk::write_all_at(self.file.as_ref(), pieces, start as u64);
        if let Err(error) = written {
            self.torn = self.mapping.cut_remains(self.file.as_ref()).is_err();
            return Err(error);
        }
        self.mapping
            .published
            .store(start + length, Ordering::Release);
        Ok(())
    }

    /// Whether it takes no more appends: what one that failed has written may be there after a crash.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.mapping.writable.store(false, Ordering::Release);
    }
}

impl Mapping {
    /// Takes the blocks of a range that was read out of the process's memory. They stay in the page
    /// cache. What was sent to one consumer is seldom sent to another soon, while mapped pages count
    /// as resident: a replay of a large log would look like a leak.
    pub(crate) fn read_past(&self, range: &Range<usize>) {
        let start = range.start / BLOCK * BLOCK;
        let end = range.end / BLOCK * BLOCK;
        if start < end
            && let Some(map) = self.pages.as_ref().and_then(Pages::mapped)
        {
            // SAFETY: the range lies in the mapping. It is a shared mapping of a file that is never
            // written through memory, so only page table entries go, and a later read through any
            // slice finds the same bytes.
            let advised = unsafe {
                let advice = UncheckedAdvice::DontNeed;
                map.unchecked_advise_range(advice, start, end - start)
            };
            // Advice that is not taken costs memory, nothing else.
            drop(advised);
        }
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.mapping.read_past(&self.range);
    }
}

/// What a [`Bytes`] of a mapping owns.
struct Slice {
    mapping: Arc<Mapping>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.mapping.bytes()[self.range.clone()]
    }
}
