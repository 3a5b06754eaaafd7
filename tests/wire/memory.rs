//! The most memory of its own that a process has while something happens.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// Looks every few milliseconds until it is asked.
pub(crate) struct Peak {
    over: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl Peak {
    pub(crate) fn watch(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let watching = std::thread::spawn(move || {
            let mut peak = 0;
            while !seen.load(Ordering::Relaxed) {
                peak = peak.max(anonymous_bytes(pid).unwrap_or(0));
                std::thread::sleep(Duration::from_millis(3));
            }
            peak
        });
        Self { over, watching }
    }

    /// Bytes.
    pub(crate) fn bytes(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        let peak = self.watching.join();
        peak.ok().context("the watching thread failed")
    }
}

fn anonymous_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes = line.trim().trim_end_matches("kB").trim();
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}
