//! One look at the partitions of a fetch: what each has to give, within the limits of the request.
use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use storage::{Aborted, EpochEnd, ReadError};
use uuid::Uuid;

use crate::metadata::Topic;
use crate::partition::Partition;

/// One partition that a client wants to read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name as the client knows it; empty if it asks by an id that is not known.
    pub topic: Arc<str>,
    /// Id, zero before v13.
    pub topic_id: Uuid,
    /// Index within the topic.
    pub partition: i32,
    /// First offset to read.
    pub offset: i64,
    /// Bytes for this partition.
    pub max_bytes: i32,
    /// The client's idea of the leader epoch, -1 if it has none.
    pub current_leader_epoch: i32,
    /// Epoch of the client's last record, -1 if it has none (KIP-595).
    pub last_fetched_epoch: i32,
}

/// What one partition gives.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The error, if any.
    pub error: Option<ErrorCode>,
    /// -1 with an error.
    pub high_watermark: i64,
    /// -1 with an error.
    pub last_stable_offset: i64,
    /// -1 with an error.
    pub log_start_offset: i64,
    /// Set if the client's log has gone another way.
    pub diverging: Option<EpochEnd>,
    /// Whole batches; empty, never null.
    pub records: Bytes,
    /// The aborted transactions among them, by rising first offset, for who reads committed.
    pub aborted: Vec<Aborted>,
}

/// A partition found, or why not; looked up once for as long as a fetch waits.
#[derive(Debug)]
pub enum Found {
    /// The topic and its partition.
    Here(Arc<Topic>, Arc<Partition>),
    /// The error to answer.
    Missing(ErrorCode),
}

/// What a fetch asks for; `found` goes with `wanted`.
#[derive(Debug)]
pub struct Asked {
    /// The partitions in the order of the request.
    pub wanted: Vec<Wanted>,
    /// The same as they were found.
    pub found: Vec<Found>,
}

/// The answers to all partitions of a fetch.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of the request.
    pub answers: Vec<Answer>,
    /// Bytes of records in all of them.
    pub bytes: usize,
    /// Some partition answers with an error or diverges: the client must hear of it at once.
    pub urgent: bool,
    /// Some records are not in the page cache: touching them may block.
    pub cold: bool,
    /// There should have been more, and there was no room to wait for it.
    pub could_not_wait: bool,
}

/// Limits of one fetch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes over all partitions; the first batch goes out whole even if it is larger.
    pub max_bytes: usize,
    /// Whether to stop at the last stable offset.
    pub read_committed: bool,
}

impl Plan {
    /// Reads every partition once.
    pub fn read(asked: &Asked, limits: Limits) -> Self {
        let mut plan = Self {
            answers: Vec::with_capacity(asked.wanted.len()),
            ..Self::default()
        };
        for (wanted, found) in asked.wanted.iter().zip(&asked.found) {
            let left = limits.max_bytes.saturating_sub(plan.bytes);
            let answer = match found {
                Found::Missing(error) => Answer::error(*error),
                Found::Here(_, partition) => {
                    let max_bytes = left.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
                    let read_committed = limits.read_committed;
                    plan.read_one(wanted, partition, max_bytes, read_committed)
                }
            };
            plan.urgent |= answer.error.is_some() || answer.diverging.is_some();
            plan.bytes += answer.records.len();
            plan.answers.push(answer);
        }
        plan
    }

    /// Whether [`Self::read`] may have to wait for the disk.
    pub fn would_block(asked: &Asked, limits: Limits) -> bool {
        asked
            .wanted
            .iter()
            .zip(&asked.found)
            .any(|(wanted, found)| {
                let Found::Here(_, partition) = found else {
                    return false;
                };
                let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0);
                wanted.offset < partition.high_watermark()
                    && partition
                        .log
                        .would_block(wanted.offset, max_bytes.min(limits.max_bytes))
            })
    }

    fn read_one(
        &mut self,
        wanted: &Wanted,
        partition: &Partition,
        max_bytes: usize,
        read_committed: bool,
    ) -> Answer {
        if let Some(error) = epoch_error(wanted.current_leader_epoch, partition) {
            return Answer::error(error);
        }
        let high_watermark = partition.high_watermark();
        let last_stable_offset = partition.last_stable_offset();
        let up_to = if read_committed {
            last_stable_offset
        } else {
            high_watermark
        };
        let mut answer = Answer {
            error: None,
            high_watermark,
            last_stable_offset,
            log_start_offset: partition.log.start_offset(),
            diverging: None,
            records: Bytes::new(),
            aborted: Vec::new(),
        };
        if wanted.last_fetched_epoch > partition.leader_epoch {
            // Records of an epoch that is yet to come were never here (UnifiedLog.read).
            return Answer::error(ErrorCode::OffsetOutOfRange);
        }
        if wanted.last_fetched_epoch >= 0 {
            answer.diverging = diverging(wanted, partition);
            if answer.diverging.is_some() {
                return answer;
            }
        }
        // Only the first records of a response may break the limits: at least one batch always
        // gets through, so that no client is stuck before a large one.
        let min_one_batch = self.bytes == 0;
        if max_bytes == 0 && !min_one_batch {
            return answer;
        }
        match partition
            .log
            .read(wanted.offset, up_to, max_bytes, min_one_batch)
        {
            Ok(read) => {
                self.cold |= !read.resident;
                if read_committed && !read.records.is_empty() {
                    answer.aborted = partition.log.aborted(wanted.offset, read.next_offset);
                    answer.aborted.sort_unstable_by_key(|it| it.first_offset);
                }
                answer.records = read.records;
                answer
            }
            Err(error) => Answer {
                error: Some(read_error(&error)),
                ..answer
            }
            .without_offsets(),
        }
    }
}

impl Answer {
    fn error(error: ErrorCode) -> Self {
        Self {
            error: Some(error),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging: None,
            records: Bytes::new(),
            aborted: Vec::new(),
        }
    }

    fn without_offsets(self) -> Self {
        match self.error {
            Some(error) => Self::error(error),
            None => self,
        }
    }
}

/// Checks the client's idea of the leader epoch (KIP-320).
pub fn epoch_error(current_leader_epoch: i32, partition: &Partition) -> Option<ErrorCode> {
    match current_leader_epoch.cmp(&partition.leader_epoch) {
        _ if current_leader_epoch == -1 => None,
        Ordering::Less => Some(ErrorCode::FencedLeaderEpoch),
        Ordering::Equal => None,
        Ordering::Greater => Some(ErrorCode::UnknownLeaderEpoch),
    }
}

/// The code that a failed read answers with.
pub fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt { .. } => ErrorCode::CorruptMessage,
        ReadError::Closed => ErrorCode::UnknownTopicOrPartition,
        ReadError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

fn diverging(wanted: &Wanted, partition: &Partition) -> Option<EpochEnd> {
    let end = partition.log.epoch_end(wanted.last_fetched_epoch)?;
    let same = end.leader_epoch == wanted.last_fetched_epoch && end.end_offset >= wanted.offset;
    (!same).then_some(end)
}
