//! One pass over a log: the latest offsets of its dirty part's keys are collected, then every segment
//! up to there is written again without what they outdate.
use std::sync::Arc;

use protocol::record::{BatchHeader, decompress, records};

use super::aborted::Aborted;
use super::cleaned::Cleaned;
use super::filter::{Fate, Filter};
use super::groups::groups;
use super::last_batches::LastBatches;
use super::offset_map::OffsetMap;
use super::source::Source;
use super::stats::{Counters, add};
use super::throttle::Throttle;
use super::transactions::Transactions;
use super::{CleanError, swap};
use crate::batches::{self, Found};
use crate::segment::Segment;
use crate::{Log, LogConfig};

/// Internal batches may be larger than what clients may send.
const BODY_MIN_LIMIT: usize = 256 * 1024 * 1024;

/// One pass.
pub(super) struct Pass<'a> {
    pub(super) log: &'a Log,
    pub(super) config: Arc<LogConfig>,
    /// See [`Filter`].
    pub(super) now_ms: Option<i64>,
    pub(super) map_bytes: usize,
    pub(super) throttle: Throttle<'a>,
    pub(super) counters: &'a Counters,
}

impl Pass<'_> {
    /// Cleans the log from `first_dirty` up to `end`, or as far as the map reaches. Returns where it
    /// is dirty from now on.
    pub(super) fn run(&mut self, first_dirty: i64, end: i64) -> Result<i64, CleanError> {
        // The log may have been cut since it was looked at.
        let first_dirty = first_dirty.min(self.log.begin_pass());
        let sources = self.log.sealed(end);
        let aborted = Aborted::of(self.log.aborted(self.log.start_offset(), end));
        let map = self.read_keys(&sources, first_dirty, &aborted)?;
        let reached = |source: &&Source| source.segment.base_offset() < map.end();
        let count = sources.iter().take_while(reached).count();
        let mut filter = Filter {
            map: &map,
            aborted: &aborted,
            last_batches: &self.last_batches(&sources)?,
            transactions: Transactions::default(),
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            body_limit: self.body_limit(),
        };
        for group in groups(&sources[..count], &self.config) {
            self.clean(group, &mut filter)?;
        }
        if !self.log.end_pass(map.end()) {
            return Err(CleanError::Aborted);
        }
        Ok(map.end())
    }

    /// What stays of each producer that is known still.
    fn last_batches(&self, sources: &[Source]) -> Result<LastBatches, CleanError> {
        let mut last = LastBatches::default();
        for source in sources {
            source.each_header(i64::MIN, |header| last.note(header))?;
        }
        let known = self.log.known_producers();
        last.retain(|id| known.contains(&id));
        Ok(last)
    }

    /// The latest offset of each key of the dirty part.
    fn read_keys(
        &mut self,
        sources: &[Source],
        first_dirty: i64,
        aborted: &Aborted,
    ) -> Result<OffsetMap, CleanError> {
        let dirty = || sources.iter().filter(|s| s.end_offset > first_dirty);
        let mut expected = 0_usize;
        for source in dirty() {
            source.each_header(first_dirty, |header| {
                let count = usize::try_from(header.records_count).unwrap_or_default();
                expected = expected.saturating_add(count);
            })?;
        }
        let mut map = OffsetMap::new(first_dirty, self.map_bytes, expected);
        for source in dirty() {
            let mut is_full = false;
            source.each_batch(first_dirty, |found, batch| {
                self.read(batch.len())?;
                is_full = !map.has_room(found.header.records_count);
                if !is_full {
                    map.advance(found.header.last_offset() + 1);
                    let counts = !aborted.has(&found.header);
                    if counts && !found.header.attributes.is_control() {
                        self.put_batch(&mut map, source, found, batch, first_dirty)?;
                    }
                }
                Ok(!is_full)
            })?;
            if is_full {
                break;
            }
            map.advance(source.end_offset);
        }
        Ok(map)
    }

    fn put_batch(
        &self,
        map: &mut OffsetMap,
        source: &Source,
        found: &Found,
        batch: &[u8],
        first_dirty: i64,
    ) -> Result<(), CleanError> {
        let header = &found.header;
        let bad = |error| source.bad_batch(found, &error);
        let body = decompress(header, batch, self.body_limit()).map_err(bad)?;
        for record in records(header, &body) {
            let record = record.map_err(bad)?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if let Some(key) = record.key
                && offset >= first_dirty
            {
                map.put(key, offset);
            }
        }
        Ok(())
    }

    /// Writes what is to be kept of a group into one new segment, and swaps it in.
    fn clean(&mut self, group: &[Source], filter: &mut Filter<'_>) -> Result<(), CleanError> {
        let base_offset = group[0].segment.base_offset();
        let (cleaned, removed) = match self.rewrite(group, filter) {
            Ok(Some(done)) => done,
            Ok(None) => return Ok(()),
            Err(error) => {
                // What cannot be removed now is removed at the next start.
                let _ = swap::discard(self.log.files(), self.log.dir(), base_offset);
                return Err(error);
            }
        };
        let end_offset = group[group.len() - 1].end_offset.max(filter.map.end());
        let forgotten = std::mem::take(&mut filter.transactions.forgotten);
        let replaced: Vec<_> = group.iter().map(|s| Arc::clone(&s.segment)).collect();
        let swapped = self
            .log
            .swap_in(&replaced, cleaned, &forgotten, end_offset)?;
        if !swapped {
            let _ = swap::discard(self.log.files(), self.log.dir(), base_offset);
            return Err(CleanError::Aborted);
        }
        add(&self.counters.records_removed, removed);
        Ok(())
    }

    /// The new segment and how many records it lacks. `None` if nothing changes: then nothing is
    /// written either.
    fn rewrite(
        &mut self,
        group: &[Source],
        filter: &mut Filter<'_>,
    ) -> Result<Option<(Segment, usize)>, CleanError> {
        let mut cleaned = match group {
            [_] => None,
            several => Some(self.create(&several[0])?),
        };
        let last_filled = group.iter().rposition(|source| source.segment.size() > 0);
        let mut removed = 0;
        for (i, source) in group.iter().enumerate() {
            source.each_batch(i64::MIN, |found, batch| {
                self.read(batch.len())?;
                // So that the segment ends where the next one begins: a gap there would look, after
                // a crash, as if something had been lost.
                let must_stay =
                    Some(i) == last_filled && found.end() as u64 == source.segment.size();
                let (fate, count) = filter
                    .judge(&found.header, batch, must_stay)
                    .map_err(|error| source.bad_batch(found, &error))?;
                removed += count;
                let target = match &mut cleaned {
                    Some(cleaned) => cleaned,
                    None if fate == Fate::Keep => return Ok(true),
                    none => none.insert(self.copy_before(source, found.position)?),
                };
                match fate {
                    Fate::Keep => self.write(target, &found.header, batch)?,
                    Fate::Drop => {}
                    Fate::Rewrite(batch) => {
                        let header = BatchHeader::parse(&batch).expect("it was just built");
                        self.write(target, &header, &batch)?;
                    }
                }
                Ok(true)
            })?;
        }
        let Some(cleaned) = cleaned else {
            return Ok(None);
        };
        let (first, last) = (&group[0].segment, &group[group.len() - 1].segment);
        Ok(Some((cleaned.finish(first, last)?, removed)))
    }

    fn create(&self, source: &Source) -> Result<Cleaned, CleanError> {
        let interval = self.config.index_interval_bytes;
        let base_offset = source.segment.base_offset();
        Ok(Cleaned::create(
            self.log.files(),
            self.log.dir(),
            base_offset,
            interval,
        )?)
    }

    /// A new segment with all that comes before `position` as it is.
    fn copy_before(&mut self, source: &Source, position: usize) -> Result<Cleaned, CleanError> {
        let mut cleaned = self.create(source)?;
        let contents = source.segment.contents()?;
        let bytes = &contents.mapping.bytes()[..position];
        for found in batches::good_batches(bytes, 0, source.segment.base_offset()) {
            self.write(
                &mut cleaned,
                &found.header,
                &bytes[found.position..found.end()],
            )?;
        }
        Ok(cleaned)
    }

    fn write(
        &mut self,
        cleaned: &mut Cleaned,
        header: &BatchHeader,
        batch: &[u8],
    ) -> Result<(), CleanError> {
        cleaned.push(header, batch)?;
        add(&self.counters.bytes_written, batch.len());
        self.throttle.spend(batch.len())
    }

    /// Counts what is read, and ends a pass over a log that is gone.
    fn read(&mut self, bytes: usize) -> Result<(), CleanError> {
        add(&self.counters.bytes_read, bytes);
        if !self.log.takes_cleaning() {
            return Err(CleanError::Aborted);
        }
        self.throttle.spend(bytes)
    }

    fn body_limit(&self) -> usize {
        Log::decompression_limit(&self.config).max(BODY_MIN_LIMIT)
    }
}
