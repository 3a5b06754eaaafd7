//! One topic that a view writes: appended to above the high watermark, then revealed, or cut.
use std::sync::Arc;

use bytes::Bytes;
use projection::OutputPosition;
use protocol::record::BatchHeader;
use storage::{AppendError, StorageError};
use tokio::sync::watch;

use crate::metadata::{TopicError, Topics};
use crate::partition::Partition;

/// Every output has one partition.
const PARTITION: i32 = 0;

/// What a view writes; the topics of one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The rows.
    Rows,
    /// The dead letters.
    Letters,
    /// Which of them are settled.
    Settled,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rows, Self::Letters, Self::Settled];

    /// The topic of a view.
    pub fn topic(self, view: &str) -> String {
        match self {
            Self::Rows => view.to_owned(),
            Self::Letters => format!("{view}.dlq"),
            Self::Settled => format!("__projection_state.{view}"),
        }
    }

    /// A row's time is that of its events, whatever the broker's default is. Segments are small where a start reads all of the log, so that compaction can keep it short.
    fn configs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rows => &[
                ("cleanup.policy", "compact"),
                ("message.timestamp.type", "CreateTime"),
                ("segment.bytes", "33554432"),
            ],
            Self::Letters => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "1209600000"),
                // Room for the largest record that a batch can be decompressed to.
                ("segment.bytes", "134217728"),
            ],
            Self::Settled => &[("cleanup.policy", "compact"), ("segment.bytes", "8388608")],
        }
    }
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// Offset after the last record.
    next: i64,
    /// Base offset and checksum of the last batch.
    last: Option<(i64, u32)>,
}

/// One output.
#[derive(Debug)]
pub struct Output {
    view: &'static str,
    kind: Kind,
    partition: Option<Arc<Partition>>,
    committed: End,
    hidden: Option<End>,
    /// Batches of the commit under way that are in the log.
    appended: usize,
}

/// Why nothing could be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The topic could not be made.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The log refused it.
    #[error("{0}")]
    Append(#[from] AppendError),
    /// What was appended cannot be read.
    #[error("{0}")]
    Read(String),
    /// What was appended cannot be taken back.
    #[error(transparent)]
    Cut(#[from] StorageError),
}

impl Output {
    /// An output that was committed up to where `position` says.
    pub fn new(
        topics: &Topics,
        view: &'static str,
        kind: Kind,
        position: Option<&OutputPosition>,
    ) -> Self {
        let name = kind.topic(view);
        let topic = topics.get(&name);
        let topic = topic.filter(|topic| topic.owner() == Some(view));
        let partition = topic.and_then(|topic| topic.partition(PARTITION));
        let next = position.map_or(0, |position| position.next);
        let crc = position.and_then(|position| position.crc);
        let base = partition
            .as_ref()
            .and_then(|partition| last_batch(partition, next));
        let committed = End {
            next,
            last: base.map(|header| header.base_offset).zip(crc),
        };
        Self {
            view,
            kind,
            partition,
            committed,
            hidden: None,
            appended: 0,
        }
    }

    /// The partition, once it was made.
    pub fn partition(&self) -> Option<&Arc<Partition>> {
        self.partition.as_ref()
    }

    /// Offset after the last record that is committed.
    pub fn next(&self) -> i64 {
        self.committed.next
    }

    /// Where the output will stand once what was appended is committed; `None` while there is no
    /// topic.
    pub fn position(&self) -> Option<OutputPosition> {
        self.partition.as_ref()?;
        let end = self.hidden.unwrap_or(self.committed);
        Some(OutputPosition {
            topic: self.kind.topic(self.view),
            partition: PARTITION,
            next: end.next,
            crc: end.last.map(|(_, crc)| crc),
        })
    }

    /// Makes the topic if it is not there.
    pub fn make(&mut self, topics: &Topics) -> Result<Arc<Partition>, OutputError> {
        if let Some(partition) = &self.partition {
            return Ok(Arc::clone(partition));
        }
        let name = self.kind.topic(self.view);
        let topic = topics.owned(&name, 1, self.kind.configs(), self.view)?;
        let missing = || OutputError::Read(format!("{name} has no partition {PARTITION}"));
        let partition = topic.partition(PARTITION).ok_or_else(missing)?;
        partition.hide_from(0);
        self.partition = Some(Arc::clone(&partition));
        Ok(partition)
    }

    /// Appends the batches of a commit above the high watermark; returns the offset of the first
    /// record. After an error it may be called again with the same batches, and goes on with those
    /// that are missing; what was appended and is not known of is taken back first.
    pub fn append(&mut self, topics: &Topics, batches: &[Bytes]) -> Result<i64, OutputError> {
        let first = self.committed.next;
        if batches.is_empty() {
            return Ok(first);
        }
        let partition = self.make(topics)?;
        let known = self.hidden.unwrap_or(self.committed).next;
        if partition.log.end_offset() > known {
            partition.cut(known)?;
        }
        for batch in &batches[self.appended.min(batches.len())..] {
            let appended = partition.append_hidden(batch)?;
            let next = appended.last_offset + 1;
            // Read back: the topic's configs may have changed the batch on its way.
            let header = last_batch(&partition, next).ok_or_else(|| {
                OutputError::Read(format!(
                    "{} does not end in a batch",
                    self.kind.topic(self.view)
                ))
            })?;
            self.hidden = Some(End {
                next,
                last: Some((header.base_offset, header.crc)),
            });
            self.appended += 1;
        }
        Ok(first)
    }

    /// Asks for what was appended to be made durable.
    pub fn request_flush(&self) {
        if let (Some(partition), Some(_)) = (&self.partition, self.hidden) {
            partition.log.request_flush();
        }
    }

    /// Waits until what was appended is durable.
    pub fn wait_durable(&self, stopping: &watch::Receiver<bool>) -> Result<(), OutputError> {
        if let (Some(partition), Some(hidden)) = (&self.partition, self.hidden) {
            partition.durable_blocking(hidden.next - 1, stopping)?;
        }
        Ok(())
    }

    /// What was appended is committed: shows it to readers.
    pub fn reveal(&mut self) {
        if let (Some(partition), Some(hidden)) = (&self.partition, self.hidden.take()) {
            self.committed = hidden;
            self.appended = 0;
            // Before the cleaner may come to it.
            self.protect();
            partition.reveal(hidden.next);
        }
    }

    /// Takes back what was appended, also what an earlier attempt left.
    pub fn cut(&mut self) -> Result<(), StorageError> {
        let Some(partition) = &self.partition else {
            return Ok(());
        };
        if partition.log.end_offset() > self.committed.next {
            partition.cut(self.committed.next)?;
        }
        (self.hidden, self.appended) = (None, 0);
        Ok(())
    }

    /// Keeps the cleaner from the last committed batch: its checksum proves the commit.
    fn protect(&self) {
        if let (Some(partition), Some((base_offset, _))) = (&self.partition, self.committed.last) {
            partition.log.set_cleanable_end(base_offset);
        }
    }
}

/// The batch that ends just before `next`.
pub fn last_batch(partition: &Partition, next: i64) -> Option<BatchHeader> {
    let last = next - 1;
    if last < partition.log.start_offset() {
        return None;
    }
    let read = partition.log.read(last, next, 1, true).ok()?;
    let header = BatchHeader::parse(&read.records).ok()?;
    (header.last_offset() == last).then_some(header)
}
