//! Producer snapshots against the batches below them.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use protocol::record::BatchHeader;

use super::read;
use crate::cli::log::dump::base_offset;
use crate::cli::log::entries;

/// The snapshots that are still ahead, and the producers up to where the walk is.
#[derive(Debug)]
pub(super) struct Producers {
    ahead: BTreeMap<i64, PathBuf>,
    /// Offset and sequence of the last record, by producer id.
    last: BTreeMap<i64, (i64, i32)>,
}

impl Producers {
    /// The snapshots of a partition.
    pub(super) fn list(partition: &Path, problems: &mut Vec<String>) -> Result<Self> {
        let mut ahead = BTreeMap::new();
        for entry in fs::read_dir(partition)? {
            let path = entry?.path();
            if path.extension().is_none_or(|kind| kind != "snapshot") {
                continue;
            }
            match base_offset(&path) {
                Ok(offset) => drop(ahead.insert(offset, path)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let last = BTreeMap::new();
        Ok(Self { ahead, last })
    }

    /// The next batch of the walk.
    pub(super) fn meet(&mut self, header: &BatchHeader, problems: &mut Vec<String>) -> Result<()> {
        self.check_below(header.base_offset + 1, problems)?;
        if header.producer_id >= 0 && !header.attributes.is_control() {
            let sequence = header.last_sequence();
            let last = (header.last_offset(), sequence);
            self.last.insert(header.producer_id, last);
        }
        Ok(())
    }

    /// The log ends here.
    pub(super) fn end(&mut self, end_offset: i64, problems: &mut Vec<String>) -> Result<()> {
        self.check_below(end_offset + 1, problems)?;
        for offset in self.ahead.keys() {
            problems.push(format!(
                "producer snapshot {offset}: the log ends at {end_offset}"
            ));
        }
        Ok(())
    }

    fn check_below(&mut self, offset: i64, problems: &mut Vec<String>) -> Result<()> {
        while let Some(entry) = self
            .ahead
            .first_entry()
            .filter(|entry| *entry.key() < offset)
        {
            let (at, path) = entry.remove_entry();
            let Some(content) = read(&path)? else {
                continue;
            };
            let found = match entries::snapshot(&content) {
                None => Some("is damaged".to_owned()),
                Some(entries) => entries.iter().find_map(|entry| self.contradiction(entry)),
            };
            problems.extend(found.map(|found| format!("producer snapshot {at}: {found}")));
        }
        Ok(())
    }

    /// Retention and compaction may have taken the batch that the snapshot tells of, so it may be
    /// ahead of the batches, but not behind.
    fn contradiction(&self, entry: &entries::ProducerEntry) -> Option<String> {
        let (offset, sequence) = *self.last.get(&entry.producer_id)?;
        let behind = entry.last_offset < offset && entry.last_offset >= 0;
        let other = entry.last_offset == offset && entry.last_sequence != sequence;
        (behind || other).then(|| {
            let id = entry.producer_id;
            format!(
                "producer {id} is at offset {} and sequence {}, its last batch ends at {offset} and \
                 {sequence}",
                entry.last_offset, entry.last_sequence
            )
        })
    }
}
