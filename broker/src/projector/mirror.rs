//! The group that shows how far a view is, where every lag tool looks.
use std::time::{Duration, Instant};

use projection::Commit;
use tracing::warn;

use crate::coordinator::Groups;

/// Time between two looks of a busy view.
const INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Mirror {
    group: String,
    /// Sequence and generation that were written last.
    written: Option<(u64, u64)>,
    at: Option<Instant>,
    failed: bool,
}

impl Mirror {
    /// The group of a view.
    pub fn new(view: &str) -> Self {
        Self {
            group: format!("__projection.{view}"),
            written: None,
            at: None,
            failed: false,
        }
    }

    /// Writes, unless that was just done.
    pub fn write_now_and_then(&mut self, groups: &Groups, commit: Option<&Commit>) {
        if self.at.is_none_or(|at| at.elapsed() >= INTERVAL) {
            self.write(groups, commit);
        }
    }

    /// Writes what is not written yet. A failure harms nobody: the commit counts, this is a copy.
    pub fn write(&mut self, groups: &Groups, commit: Option<&Commit>) {
        let Some(commit) = commit else {
            return;
        };
        let now = (commit.generation, commit.sequence);
        if self.written == Some(now) {
            return;
        }
        let offsets = commit.sources.iter();
        let offsets = offsets.map(|it| (it.topic.as_str(), it.partition, it.next));
        let offsets: Vec<_> = offsets.collect();
        let result = groups.commit_internal(&self.group, &offsets);
        if let Err(code) = result
            && !self.failed
        {
            warn!(group = self.group, %code, "cannot show how far a view is");
        }
        self.failed = result.is_err();
        self.written = Some(now);
        self.at = Some(Instant::now());
    }
}
