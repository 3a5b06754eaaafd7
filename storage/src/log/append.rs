//! Appending: checked outside the lock, then one copy into the mapping.
use std::sync::atomic::Ordering;

use protocol::record::{
    BatchHeader, TimestampType, restamp, stamp_append_time, stamp_max_timestamp,
};

use super::validate::{self, Checked};
use super::writer::{Open, Writer};
use super::{Append, Appended, Log, Origin};
use crate::hold::{Hold, HoldShared};
use crate::producer_state::{Marker, Sequence};
use crate::segment::Indexes;
use crate::{AppendError, LogConfig};

impl Log {
    /// Appends `records`. On success the batches are in the mapping: visible to reads, safe from a
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
            && let Sequence::Duplicate(batch) = writer.producers.check(&checked.first)?
        {
            let append_time = append_time(&config, batch.timestamp);
            return Ok(self.appended(batch.base_offset(), batch.last_offset, append_time, true));
        }
        let rolled = self.make_room(&mut writer, &config, records.len(), &checked, how.now_ms)?;
        let base_offset = self.end_offset();
        self.write(&mut writer, records, &checked, &config, how);
        let end_offset = base_offset + checked.span;
        self.end.store(end_offset, Ordering::Release);
        writer.unflushed_records += checked.span;
        let flush = rolled || writer.unflushed_records >= config.flush_messages;
        if self.unflushed_since_ms.load(Ordering::Relaxed) == 0 {
            self.unflushed_since_ms.store(how.now_ms, Ordering::Relaxed);
        }
        if let Some(open) = &writer.open {
            self.services.prefault.hint(open.tail.mapping());
        }
        drop(writer);
        if flush {
            self.request_flush();
        }
        let append_time = append_time(&config, how.now_ms);
        Ok(self.appended(base_offset, end_offset - 1, append_time, false))
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

    fn appended(
        &self,
        base_offset: i64,
        last_offset: i64,
        log_append_time_ms: i64,
        duplicate: bool,
    ) -> Appended {
        Appended {
            base_offset,
            last_offset,
            log_append_time_ms,
            log_start_offset: self.start_offset(),
            duplicate,
        }
    }

    /// The copy and what goes with it; cannot fail, the space is reserved.
    fn write(
        &self,
        writer: &mut Writer,
        records: &[u8],
        checked: &Checked,
        config: &LogConfig,
        how: Append,
    ) {
        let Writer {
            active,
            open,
            producers,
            leader_epoch,
            ..
        } = writer;
        let open: &mut Open = open.as_mut().expect("make_room opened it");
        let start = open.tail.mapping().published();
        let mut offset = self.end_offset();
        if how.leader_epoch > *leader_epoch {
            *leader_epoch = how.leader_epoch;
            self.epochs.hold().assign(how.leader_epoch, offset);
        }
        let indexes: &mut Indexes = &mut open.contents.indexes.exclusive();
        open.tail.append(records.len(), |space| {
            space.copy_from_slice(records);
            let mut at = 0;
            while at < space.len() {
                let batch = &mut space[at..];
                restamp(batch, offset, how.leader_epoch);
                if config.timestamp_type == TimestampType::LogAppendTime {
                    stamp_append_time(batch, how.now_ms);
                } else if let Some(timestamp) = checked.repaired {
                    stamp_max_timestamp(batch, timestamp);
                }
                let header = BatchHeader::parse(batch).expect("the batch was verified");
                let interval = config.index_interval_bytes;
                indexes.note(active.base_offset(), &header, start + at, interval);
                producers.apply(&header, Marker::read(&header, batch));
                offset = header.last_offset() + 1;
                at += header.size();
            }
        });
        open.first_timestamp.get_or_insert(checked.max_timestamp);
        let size = (start + records.len()) as u64;
        active.appended(size, indexes.max, how.now_ms);
    }
}

fn append_time(config: &LogConfig, timestamp: i64) -> i64 {
    match config.timestamp_type {
        TimestampType::LogAppendTime => timestamp,
        TimestampType::CreateTime => -1,
    }
}
