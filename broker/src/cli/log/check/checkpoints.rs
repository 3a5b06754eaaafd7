//! Checkpoint files: the leader epochs of a partition, and the offsets that the data directory keeps
//! of all of them.
use std::path::Path;

use anyhow::Result;
use protocol::record::BatchHeader;

use super::read;

/// Whether the data directory of a partition was closed in order.
pub(super) fn is_clean(partition: &Path) -> bool {
    let data_dir = partition.parent();
    data_dir.is_some_and(|dir| dir.join(".kafka_cleanshutdown").exists())
}

/// The lines of a checkpoint file after the two of its head; `None` if it is damaged.
fn lines(content: &[u8]) -> Option<Vec<&str>> {
    let mut lines = std::str::from_utf8(content).ok()?.lines();
    let version = lines.next()?;
    let count: usize = lines.next()?.parse().ok()?;
    let lines: Vec<_> = lines.collect();
    (version == "0" && lines.len() == count).then_some(lines)
}

/// Leader epochs and where they begin.
#[derive(Debug)]
pub(super) struct Epochs {
    starts: Vec<(i32, i64)>,
    /// Whether an epoch that began lately may be missing.
    complete: bool,
    latest: i32,
}

impl Epochs {
    /// The leader epochs of a partition, as its checkpoint tells them.
    pub(super) fn read(partition: &Path, clean: bool, problems: &mut Vec<String>) -> Result<Self> {
        let content = read(&partition.join("leader-epoch-checkpoint"))?;
        let parsed = content.as_deref().map(|content| -> Option<Vec<_>> {
            let entry = |line: &str| {
                let (epoch, start) = line.split_once(' ')?;
                Some((epoch.parse().ok()?, start.parse().ok()?))
            };
            lines(content)?.into_iter().map(entry).collect()
        });
        let complete = clean && matches!(parsed, Some(Some(_)));
        let starts: Vec<(i32, i64)> = match parsed {
            None => Vec::new(),
            Some(Some(starts)) => starts,
            Some(None) => {
                problems.push("leader-epoch-checkpoint: is damaged".to_owned());
                Vec::new()
            }
        };
        if !starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1) {
            problems.push("leader-epoch-checkpoint: epochs do not rise".to_owned());
        }
        Ok(Self {
            starts,
            complete,
            latest: -1,
        })
    }

    /// What is wrong with the epoch of the next batch.
    pub(super) fn meet(&mut self, header: &BatchHeader) -> Option<String> {
        let (epoch, offset) = (header.leader_epoch, header.base_offset);
        if epoch < self.latest {
            return Some(format!("leader epoch {epoch} after {}", self.latest));
        }
        self.latest = epoch;
        // Batches below the log start offset are left in the first segment.
        let index = self
            .starts
            .iter()
            .rposition(|(_, start)| *start <= offset)?;
        let expected = self.starts[index].0;
        let newer = index + 1 == self.starts.len() && !self.complete && epoch > expected;
        (epoch != expected && !newer)
            .then(|| format!("leader epoch {epoch}, and {expected} by leader-epoch-checkpoint"))
    }

    /// The log ends here.
    pub(super) fn end(&self, end_offset: i64, problems: &mut Vec<String>) {
        if let Some((epoch, start)) = self.starts.last().filter(|(_, start)| *start > end_offset) {
            problems.push(format!(
                "leader-epoch-checkpoint: epoch {epoch} begins at {start}, the log ends at \
                 {end_offset}"
            ));
        }
    }
}

/// What the checkpoints of the data directory say of a partition.
#[derive(Debug)]
pub(super) struct Found {
    damaged: Vec<&'static str>,
    recovery_point: Option<i64>,
    log_start: Option<i64>,
}

impl Found {
    /// Reads the files beside the partition's directory.
    pub(super) fn beside(partition: &Path) -> Result<Self> {
        let mut found = Self {
            damaged: Vec::new(),
            recovery_point: None,
            log_start: None,
        };
        let (Some(data_dir), Some(name)) = (partition.parent(), partition.file_name()) else {
            return Ok(found);
        };
        let name = name.to_string_lossy();
        for file in [
            "recovery-point-offset-checkpoint",
            "log-start-offset-checkpoint",
        ] {
            let Some(content) = read(&data_dir.join(file))? else {
                continue;
            };
            let Some(lines) = lines(&content) else {
                found.damaged.push(file);
                continue;
            };
            let offset = lines.iter().find_map(|line| {
                let (place, offset) = line.rsplit_once(' ')?;
                (place.replacen(' ', "-", 1) == name).then_some(offset.parse().ok()?)
            });
            match file {
                "recovery-point-offset-checkpoint" => found.recovery_point = offset,
                _ => found.log_start = offset,
            }
        }
        Ok(found)
    }

    /// Compares them with where the log ends.
    pub(super) fn check(&self, end_offset: i64, clean: bool, problems: &mut Vec<String>) {
        for file in &self.damaged {
            problems.push(format!("{file}: is damaged"));
        }
        if let Some(point) = self.recovery_point
            && (point > end_offset || clean && point < end_offset)
        {
            problems.push(format!(
                "recovery-point-offset-checkpoint: {point}, the log ends at {end_offset}"
            ));
        }
        if let Some(start) = self.log_start.filter(|start| *start > end_offset) {
            problems.push(format!(
                "log-start-offset-checkpoint: {start}, the log ends at {end_offset}"
            ));
        }
    }
}
