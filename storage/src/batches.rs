//! A walk over the batch headers of a segment.
use protocol::record::BatchHeader;

/// A batch found by the walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Where it starts in the file.
    pub(crate) position: usize,
    /// Its header.
    pub(crate) header: BatchHeader,
}

impl Found {
    /// Where it ends in the file.
    pub(crate) fn end(&self) -> usize {
        self.position + self.header.size()
    }
}

/// The walk met bytes that are no batch, or one out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBatch;

/// Walks headers; ends after the first error. Offsets must rise, gaps are allowed (compaction).
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
    next_offset: i64,
}

impl<'a> Walk<'a> {
    /// From `position` on, where no batch may start below `next_offset`.
    pub(crate) fn new(bytes: &'a [u8], position: usize, next_offset: i64) -> Self {
        Self {
            bytes,
            position,
            next_offset,
        }
    }

    /// Where the next batch starts: after an error, where the bad one does.
    pub(crate) fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Found, BadBatch>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..)?;
        if rest.is_empty() {
            return None;
        }
        let found = BatchHeader::parse(rest)
            .ok()
            .filter(|header| {
                header.size() <= rest.len()
                    && header.base_offset >= self.next_offset
                    && header.last_offset_delta >= 0
                    && header.last_offset() < i64::MAX
            })
            .map(|header| Found {
                position: self.position,
                header,
            });
        if let Some(found) = found {
            self.position = found.end();
            self.next_offset = found.header.last_offset() + 1;
            Some(Ok(found))
        } else {
            self.bytes = &self.bytes[..self.position];
            Some(Err(BadBatch))
        }
    }
}

/// The next good batch after bad bytes at `position`: found by its checksum, looking at every byte.
/// A damaged length must not hide what comes after it.
pub(crate) fn resync(bytes: &[u8], position: usize, next_offset: i64) -> Option<Found> {
    const MAGIC_AT: usize = 16;
    (position + 1..bytes.len().saturating_sub(MAGIC_AT)).find_map(|position| {
        let rest = &bytes[position..];
        if rest[MAGIC_AT] != 2 || rest[0] != 0 {
            return None;
        }
        let header = BatchHeader::parse(rest).ok()?;
        let plausible = header.base_offset >= next_offset
            && header.last_offset_delta >= 0
            && header.size() <= rest.len();
        let good = plausible && protocol::record::verify(rest).is_ok();
        good.then_some(Found { position, header })
    })
}

/// The same walk, but over holes of bad bytes too.
pub(crate) fn good_batches(
    bytes: &[u8],
    position: usize,
    next_offset: i64,
) -> impl Iterator<Item = Found> {
    let mut walk = Walk::new(bytes, position, next_offset);
    std::iter::from_fn(move || {
        let found = if let Ok(found) = walk.next()? {
            found
        } else {
            let found = resync(bytes, walk.position, walk.next_offset)?;
            walk = Walk::new(bytes, found.end(), found.header.last_offset() + 1);
            found
        };
        Some(found)
    })
}
