//! Appending: checked outside the lock, then one write to the file.
use std::borrow::Cow;
use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::time::Instant;

use protocol::record::{
    BatchHeader, TimestampType, restamp, stamp_append_time, stamp_max_timestamp,
};

use super::transactions::NONE_OPEN;
use super::validate::{self, Checked};
use super::writer::{Open, Writer};
use super::{Append, Appended, Log, Origin};
use crate::hold::{Hold, HoldShared};
use crate::indexes::Indexes;
use crate::marker::Marker;
use crate::producer_state::Sequence;
use crate::{AppendError, LogConfig, StorageError};

impl Log {
    /// Appends `records`. On success the batches are in the page cache: visible to reads, safe from a
    /// crash of the process. `wait for durability` = wait until [`super::LogObserver::flushed`]
    /// passes `last_offset` after a [`Log::request_flush`].
    pub fn append(&self, records: &[u8], how: Append) -> Result<Appended, AppendError> {
        let config = self.config();
        let checked = match how.origin {
            Origin::Client => validate::client(records, &config, how.now_ms)?,
            Origin::Internal => validate::internal(records, &config, how.now_ms)?,
        };
        if records.len() > config.segment_bytes as usize {
            return Err(AppendError::LargerThanSegment {
                size: records.len(),
                limit: config.segment_bytes,
            });
        }
        let mut writer = self.writer.hold();
        self.check_writable()?;
        if how.origin == Origin::Client
            && checked.first.producer_id >= 0
            && let Sequence::Duplicate(batch) = self.check_sequence(&mut writer, &checked.first)?
        {
            let append_time = append_time(&config, batch.timestamp);
            let appended = self.appended(batch.base_offset(), batch.last_offset, append_time);
            return Ok(Appended {
                duplicate: true,
                // The first answer may have been lost while its flush was under way.
                flush_forced: config.flush_messages != i64::MAX,
                ..appended
            });
        }
        if how.origin == Origin::Internal && checked.first.attributes.is_control() {
            Self::check_marker(&writer, &checked.first, records)?;
        }
        let rolled = self.make_room(&mut writer, &config, records.len(), &checked)?;
        let base_offset = self.end_offset();
        self.write(&mut writer, records, &checked, &config, how)?;
        let end_offset = base_offset + checked.span;
        self.end.store(end_offset, Ordering::Release);
        writer.unflushed_records += checked.span;
        let flush_forced = writer.unflushed_records >= config.flush_messages;
        if self.unflushed_since_ms.load(Ordering::Relaxed) == 0 {
            self.unflushed_since_ms.store(how.now_ms, Ordering::Relaxed);
        }
        drop(writer);
        if rolled || flush_forced {
            self.request_flush();
        }
        let append_time = append_time(&config, how.now_ms);
        let appended = self.appended(base_offset, end_offset - 1, append_time);
        Ok(Appended {
            flush_forced,
            ..appended
        })
    }

    pub(super) fn check_writable(&self) -> Result<(), AppendError> {
        if self.is_closed() {
            Err(AppendError::Closed)
        } else if self.is_poisoned() {
            Err(AppendError::Poisoned)
        } else {
            Ok(())
        }
    }

    fn appended(&self, base_offset: i64, last_offset: i64, log_append_time_ms: i64) -> Appended {
        Appended {
            base_offset,
            last_offset,
            log_append_time_ms,
            log_start_offset: self.start_offset(),
            duplicate: false,
            flush_forced: false,
        }
    }

    /// The write and what goes with it. An error leaves the log as it was.
    fn write(
        &self,
        writer: &mut Writer,
        records: &[u8],
        checked: &Checked,
        config: &LogConfig,
        how: Append,
    ) -> Result<(), AppendError> {
        let Writer {
            active,
            open,
            producers,
            leader_epoch,
            names,
            ..
        } = writer;
        let open: &mut Open = open.as_mut().expect("make_room opened it");
        let start = open.tail.mapping().published();
        let records = stamped(records, checked, config, how);
        let batches = Placed::all(&records, self.end_offset(), how.leader_epoch);
        let mut pieces: Vec<_> = batches.iter().flat_map(Placed::pieces).collect();
        let written = open.tail.append(&mut pieces);
        written.map_err(|source| {
            if open.tail.is_torn() {
                // The flush poisons the log: observers are not told under the writer's lock.
                names.lost = true;
                self.request_flush();
            }
            self.full_or(StorageError {
                action: "write",
                path: active.log_path(),
                source,
            })
        })?;
        if how.leader_epoch > *leader_epoch {
            *leader_epoch = how.leader_epoch;
            let mut epochs = self.epochs.hold();
            epochs.assign(how.leader_epoch, self.end_offset());
        }
        let indexes: &mut Indexes = &mut open.contents.indexes.exclusive();
        let mut position = start;
        for Placed { header, bytes, .. } in &batches {
            let interval = config.index_interval_bytes;
            indexes.note(active.base_offset(), header, position, interval);
            let marker = Marker::read(header, bytes);
            if let Some(aborted) = producers.apply(header, marker, Some(Instant::now())) {
                self.aborted.exclusive().push(aborted);
            }
            position += bytes.len();
        }
        // After what was aborted is known, before the new end is.
        let first_open = producers.first_open().unwrap_or(NONE_OPEN);
        self.first_open.store(first_open, Ordering::Release);
        open.first_timestamp.get_or_insert(checked.max_timestamp);
        active.appended(position as u64, indexes.max, how.now_ms);
        Ok(())
    }
}

/// Batches as they are stored, but for their place; copied only if their timestamps change.
fn stamped<'a>(
    records: &'a [u8],
    checked: &Checked,
    config: &LogConfig,
    how: Append,
) -> Cow<'a, [u8]> {
    let append_time = config.timestamp_type == TimestampType::LogAppendTime;
    if !append_time && checked.repaired.is_none() {
        return Cow::Borrowed(records);
    }
    let mut records = records.to_vec();
    let mut rest = &mut records[..];
    while !rest.is_empty() {
        let size = verified(rest).size();
        let (batch, next) = rest.split_at_mut(size);
        if append_time {
            stamp_append_time(batch, how.now_ms);
        } else if let Some(timestamp) = checked.repaired {
            stamp_max_timestamp(batch, timestamp);
        }
        rest = next;
    }
    Cow::Owned(records)
}

/// The part of a batch that [`restamp`] writes: base offset, length, leader epoch.
const STAMP: usize = 16;

/// A batch and its place in the log.
struct Placed<'a> {
    header: BatchHeader,
    stamp: [u8; STAMP],
    bytes: &'a [u8],
}

impl<'a> Placed<'a> {
    fn all(records: &'a [u8], mut offset: i64, leader_epoch: i32) -> Vec<Self> {
        let mut placed = Vec::with_capacity(1);
        let mut rest = records;
        while !rest.is_empty() {
            let mut header = verified(rest);
            header.base_offset = offset;
            header.leader_epoch = leader_epoch;
            let (bytes, next) = rest.split_at(header.size());
            let mut stamp = [0; STAMP];
            stamp.copy_from_slice(&bytes[..STAMP]);
            restamp(&mut stamp, offset, leader_epoch);
            offset = header.last_offset() + 1;
            placed.push(Self {
                header,
                stamp,
                bytes,
            });
            rest = next;
        }
        placed
    }

    fn pieces(&self) -> [IoSlice<'_>; 2] {
        [
            IoSlice::new(&self.stamp),
            IoSlice::new(&self.bytes[STAMP..]),
        ]
    }
}

fn verified(batch: &[u8]) -> BatchHeader {
    BatchHeader::parse(batch).expect("the batch was verified")
}

fn append_time(config: &LogConfig, timestamp: i64) -> i64 {
    match config.timestamp_type {
        TimestampType::LogAppendTime => timestamp,
        TimestampType::CreateTime => -1,
    }
}
