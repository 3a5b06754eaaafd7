//! Segment files in memory. All `unsafe` of this crate is here.
//!
//! A file is mapped once, at the largest size it may reach; that costs address space only. The file
//! itself grows by `fallocate` in steps, and nothing past its length is ever touched (that would be
//! SIGBUS). A full disk is an error of [`Tail::reserve`], before any byte is written.
//!
//! ```text
//! 0            published         allocated (= file length)       capacity (= mapped)
//! |  immutable  |   the tail's alone   |   must not be touched    |
//! ```
//!
//! What makes this sound, for all of the module:
//! - A byte below `published` is never written again and never unmapped or cut from its file while a
//!   [`Mapping`] that shows it lives. Cutting a log below `published` makes a new file and mapping.
//! - A byte at or above `published` is touched through the one [`Tail`] only, by `&mut`.
//! - `published` only grows, by the tail, with release order after the bytes are written; readers
//!   load it with acquire order.
//! - The lock file keeps other processes of this kind away. A stranger who cuts a segment file while
//!   it is mapped kills the process with SIGBUS: nothing in a process can guard against that.
#![expect(
    unsafe_code,
    reason = "slices of a mapping cannot be made without; the module says why they are sound"
)]
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;

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
/// Files smaller than this are not prefaulted: most logs are idle.
const PREFAULT_FROM: usize = 256 * 1024;

/// A mapped segment file.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// `None` while it is dropped, and for [`Mapping::empty`].
    map: Option<MmapRaw>,
    published: AtomicUsize,
    allocated: AtomicUsize,
    populated: AtomicUsize,
    prefault_queued: AtomicBool,
    /// Bytes that were there when it was mapped.
    found: usize,
    /// Whether the [`Tail`] lives.
    writable: AtomicBool,
    /// `None` once the file is sealed. Held while the file's length changes.
    file: Mutex<Option<File>>,
}

/// The right to append to a [`Mapping`]. There is one at most.
#[derive(Debug)]
pub(crate) struct Tail {
    mapping: Arc<Mapping>,
}

impl Mapping {
    /// Maps `file`, whose first `published` bytes are record batches and whose length is just that,
    /// with room for `capacity` bytes.
    pub(crate) fn writable(
        file: File,
        published: usize,
        capacity: usize,
    ) -> io::Result<(Arc<Self>, Tail)> {
        let length = file.metadata()?.len() as usize;
        if length != published {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is longer or shorter than its batches",
            ));
        }
        let mapping = Arc::new(Self::new(file, published, capacity, true)?);
        let tail = Tail {
            mapping: Arc::clone(&mapping),
        };
        Ok((mapping, tail))
    }

    /// Maps the first `published` bytes of `file` for reading.
    pub(crate) fn readable(file: File, published: usize) -> io::Result<Arc<Self>> {
        if (file.metadata()?.len() as usize) < published {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mapping = Self::new(file, published, published, false)?;
        *mapping.file.hold() = None;
        Ok(Arc::new(mapping))
    }

    fn new(file: File, published: usize, capacity: usize, writable: bool) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        // An empty mapping is an error of the system: map a page, it is never touched.
        options.len(capacity.max(published).max(PAGE));
        let map = if writable {
            options.map_raw(&file)?
        } else {
            options.map_raw_read_only(&file)?
        };
        Ok(Self::over(Some(map), Some(file), published, writable))
    }

    fn over(map: Option<MmapRaw>, file: Option<File>, published: usize, writable: bool) -> Self {
        Self {
            map,
            published: AtomicUsize::new(published),
            allocated: AtomicUsize::new(published),
            populated: AtomicUsize::new(published),
            prefault_queued: AtomicBool::new(false),
            found: published,
            writable: AtomicBool::new(writable),
            file: Mutex::new(file),
        }
    }

    /// Of no file and without bytes.
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self::over(None, None, 0, false))
    }

    fn map(&self) -> &MmapRaw {
        self.map.as_ref().expect("an empty mapping has no bytes")
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
        // SAFETY: the mapping lives as long as `self`; `published` bytes of it are within the file,
        // initialised and immutable (see the module).
        unsafe { std::slice::from_raw_parts(self.map().as_ptr(), published) }
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

    /// Whether the range was just written through this mapping, which saves asking the system.
    pub(crate) fn is_hot(&self, range: &Range<usize>) -> bool {
        self.writable.load(Ordering::Relaxed)
            && range.start >= self.found
            && range.start + HOT_BYTES >= self.published()
    }

    /// Whether the page cache holds all of the range, so that touching it does not block.
    pub(crate) fn is_resident(&self, range: Range<usize>) -> bool {
        let start = range.start / PAGE * PAGE;
        let end = range.end.min(self.published());
        let mut pages = [0_u8; 256];
        let mut at = start;
        while at < end {
            let length = (end - at).min(pages.len() * PAGE);
            // SAFETY: `at` is page-aligned and the range lies in the mapping; one byte of `pages` is
            // written for each page of the range, and it has room for that many.
            let done = unsafe {
                libc::mincore(
                    self.map().as_mut_ptr().add(at).cast(),
                    length,
                    pages.as_mut_ptr(),
                )
            };
            let touched = &pages[..length.div_ceil(PAGE)];
            if done != 0 || touched.iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += length;
        }
        true
    }

    /// Makes the published bytes from `from` on durable, and the file's length.
    ///
    /// `msync` of a range is `fdatasync` of that range: pages that are prefaulted ahead of the
    /// writer are not written as zeros, and stay writable without another fault.
    pub(crate) fn flush(&self, from: usize) -> io::Result<()> {
        let published = self.published();
        if from >= published {
            return Ok(());
        }
        self.map().flush_range(from, published - from)
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
        open.set_len(published as u64)?;
        open.sync_all()?;
        *file = None;
        Ok(())
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
        if !self.writable.load(Ordering::Acquire) || end > self.map().len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let step = allocated.clamp(STEP.start, STEP.end);
        let wanted = end.max(allocated + step).min(self.map().len());
        // With little space left, take no more than is needed.
        let grown = grow(file, allocated, wanted)
            .map(|()| wanted)
            .or_else(|_| grow(file, allocated, end).map(|()| end))?;
        self.allocated.store(grown, Ordering::Release);
        Ok(())
    }

    /// How far ahead of the writer pages are made ready: a share of what was written, so that small
    /// and idle logs cost nothing.
    fn ahead(published: usize) -> usize {
        if published < PREFAULT_FROM {
            0
        } else {
            (published / 4).min(prefault_max())
        }
    }

    /// Whether the writer comes near the end of what is prefaulted. True once per request.
    pub(crate) fn wants_prefault(&self) -> bool {
        let published = self.published.load(Ordering::Relaxed);
        let ahead = Self::ahead(published);
        ahead != 0
            && self.populated.load(Ordering::Relaxed) < published + ahead / 2
            && self.populated.load(Ordering::Relaxed) < self.map().len()
            && !self.prefault_queued.swap(true, Ordering::AcqRel)
    }

    /// Makes space and pages ready ahead of the writer. Failures are left to the writer to meet.
    pub(crate) fn prefault(&self) {
        self.prefault_queued.store(false, Ordering::Release);
        let published = self.published();
        let end = (published + Self::ahead(published)).min(self.map().len());
        let _ = self.allocate(end);
        let end = end.min(self.allocated.load(Ordering::Acquire)) / PAGE * PAGE;
        let start = self
            .populated
            .load(Ordering::Relaxed)
            .max(published)
            .next_multiple_of(PAGE);
        if start < end && self.writable.load(Ordering::Acquire) {
            // A file that is cut in between makes this an error, not a signal.
            let _ = self
                .map()
                .advise_range(Advice::PopulateWrite, start, end - start);
        }
        self.populated.fetch_max(end, Ordering::Relaxed);
    }

    /// Takes back a request to prefault that found the queue full.
    pub(crate) fn prefault_refused(&self) {
        self.prefault_queued.store(false, Ordering::Release);
    }
}

fn prefault_max() -> usize {
    4 * 1024 * 1024
}

/// Reserves space from `from` to `to` and makes the file that long.
fn grow(file: &File, from: usize, to: usize) -> io::Result<()> {
    loop {
        let length = (to - from) as u64;
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from as u64, length) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let touched = *self.allocated.get_mut();
        if let Some(map) = self.map.take()
            && touched > UNMAP_INLINE_BYTES
        {
            reaper::dispose(map);
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
        self.mapping.map().len() - self.mapping.published.load(Ordering::Relaxed)
    }

    /// Makes sure that `length` bytes can be appended; the only step of an append that can fail.
    pub(crate) fn reserve(&mut self, length: usize) -> io::Result<()> {
        let end = self.mapping.published.load(Ordering::Relaxed) + length;
        if end <= self.mapping.allocated.load(Ordering::Acquire) {
            return Ok(());
        }
        self.mapping.allocate(end)
    }

    /// Appends `length` bytes, which `fill` writes, and publishes them. They must be reserved.
    pub(crate) fn append(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) {
        let start = self.mapping.published.load(Ordering::Relaxed);
        assert!(
            start + length <= self.mapping.allocated.load(Ordering::Acquire),
            "appended without space reserved"
        );
        // SAFETY: the range lies in the mapping and, as just checked, in the file; it is above
        // `published`, so no one else looks at it, and `&mut self` is the only tail. Bytes of a file
        // are always initialised.
        let space = unsafe {
            std::slice::from_raw_parts_mut(self.mapping.map().as_mut_ptr().add(start), length)
        };
        fill(space);
        self.mapping
            .published
            .store(start + length, Ordering::Release);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.mapping.writable.store(false, Ordering::Release);
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
