//! A walk over the batch headers of a segment.
use protocol::record::{BatchHeader, verify};

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
        let next_offset = self.next_offset;
        let found = BatchHeader::parse(rest)
            .ok()
            .filter(|header| {
                header.size() <= rest.len()
                    && header.base_offset >= next_offset
                    && header.last_offset_delta >= 0
                    && header.last_offset() < i64::MAX
                    && (is_dense(header, next_offset) || !is_overtaken(header, rest))
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

/// Whether its offsets are what they are without compaction and without damage.
fn is_dense(header: &BatchHeader, next_offset: i64) -> bool {
    header.base_offset == next_offset
        && i64::from(header.last_offset_delta) + 1 == i64::from(header.records_count)
}

/// Whether the batch after it has a lower offset: the walk takes no checksums, and a flipped bit in
/// an offset must not hide what follows.
#[cold]
fn is_overtaken(header: &BatchHeader, bytes: &[u8]) -> bool {
    let next = bytes.get(header.size()..).map(BatchHeader::parse);
    matches!(next, Some(Ok(next)) if next.base_offset <= header.last_offset())
}

/// Where the damage begins that a walk came to, and a bound of the offset there: at the bytes that are
/// no batch; or at the batch `before` them, if it is damaged too: its length led there.
pub(crate) fn damage(bytes: &[u8], walk: &Walk<'_>, before: Option<Found>) -> (usize, i64) {
    match before {
        Some(before) if verify(&bytes[before.position..before.end()]).is_err() => {
            (before.position, before.header.base_offset)
        }
        _ => (walk.position, walk.next_offset),
    }
}

/// How many checksums a look for the next good batch may take: bytes that look like many batches must
/// not make it slow.
const CHECKSUMS_MAX: usize = 64;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

/// The next good batch after a bad one at `position`, with offsets from `next_offset` on.
///
/// If the length of the bad one leads to a good one, that is it. Else every byte is looked at, for a
/// batch whose checksum holds and after which the next one, or the end, follows. A record of the bad
/// batch may hold just that: so one is preferred up to which the checksum of the bad one holds.
pub(crate) fn resync(bytes: &[u8], position: usize, next_offset: i64) -> Option<Found> {
    let bad = &bytes[position..];
    let length = bad.get(8..12).map_or(0, |length| {
        u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize
    });
    let by_length = position.saturating_add(length).saturating_add(12);
    if length > 0
        && let Some(found) = follower(bytes, by_length, next_offset)
        && verify(&bytes[by_length..]).is_ok()
    {
        return Some(found);
    }
    let good = (position + 1..bytes.len())
        .filter_map(|position| follower(bytes, position, next_offset))
        .take(CHECKSUMS_MAX)
        .filter(|found| verify(&bytes[found.position..]).is_ok());
    let mut first = None;
    for found in good {
        if is_whole(&bad[..found.position - position]) {
            return Some(found);
        }
        first.get_or_insert(found);
    }
    first
}

/// What looks like a batch at `position`, if something follows that fits.
fn follower(bytes: &[u8], position: usize, next_offset: i64) -> Option<Found> {
    const MAGIC_AT: usize = 16;
    let rest = bytes.get(position..)?;
    if *rest.get(MAGIC_AT)? != 2 || rest[0] != 0 {
        return None;
    }
    let mut walk = Walk::new(bytes, position, next_offset);
    let found = walk.next()?.ok()?;
    let followed = walk.next().is_none_or(|next| next.is_ok());
    followed.then_some(found)
}

/// Whether the checksum of a batch that ends where `batch` does holds, whatever its length says.
fn is_whole(batch: &[u8]) -> bool {
    let (Some(crc), Some(rest)) = (batch.get(CRC_AT..CRC_FROM), batch.get(CRC_FROM..)) else {
        return false;
    };
    crc == crc32c::crc32c(rest).to_be_bytes()
}

/// The same walk, but over holes of bad bytes too.
pub(crate) fn good_batches(
    bytes: &[u8],
    position: usize,
    next_offset: i64,
) -> impl Iterator<Item = Found> {
    let mut walk = Walk::new(bytes, position, next_offset);
    let mut before = None;
    std::iter::from_fn(move || {
        let found = if let Ok(found) = walk.next()? {
            found
        } else {
            let (from, at_least) = damage(bytes, &walk, before.take());
            let found = resync(bytes, from, at_least)?;
            walk = Walk::new(bytes, found.end(), found.header.last_offset() + 1);
            found
        };
        before = Some(found);
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchBuilder;

    use super::*;

    fn batch(base_offset: i64, value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(base_offset);
        builder.push(0, None, Some(value));
        builder.build().to_vec()
    }

    #[test]
    fn a_batch_within_a_record_is_not_taken_for_one() {
        let inner = batch(7, b"inner");
        let mut bytes = [batch(5, &inner), batch(6, b"next"), batch(7, b"last")].concat();
        let size = batch(5, &inner).len();
        let bases = |bytes: &[u8]| -> Vec<i64> {
            let good = good_batches(bytes, 0, 0);
            good.map(|found| found.header.base_offset).collect()
        };
        assert_eq!(bases(&bytes), [5, 6, 7]);
        // A bad length, a bad magic, a bad offset.
        for at in [9, 10, 16, 0] {
            bytes[at] ^= 0x40;
            assert_eq!(bases(&bytes), [6, 7], "byte {at}");
            bytes[at] ^= 0x40;
        }
        // A header that is gone altogether: the inner batch has nothing after it.
        bytes[..40].fill(0xff);
        assert_eq!(bases(&bytes), [6, 7]);
        assert_eq!(resync(&bytes, 0, 0).unwrap().position, size);
    }

    #[test]
    fn bytes_that_look_like_many_batches_end_the_search() {
        let mut bytes = vec![0xff; 40];
        for i in 0..1000 {
            let mut fake = batch(i, b"");
            fake[20] ^= 1;
            bytes.extend(fake);
        }
        bytes.extend(batch(5000, b""));
        assert!(resync(&bytes, 0, 0).is_none());
    }
}
