//! One partition: its segments one after the other, and what lies beside them.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use protocol::record::{RecordError, decompress, records};

use super::checkpoints::{Epochs, Found, is_clean};
use super::indexes::{Extent, check_indexes};
use super::producers::Producers;
use crate::cli::log::dump::base_offset;
use crate::cli::log::segment::{Batch, Batches};

/// Most bytes that one batch may have once it is decompressed.
const MAX_BATCH_BYTES: usize = 1 << 28;
/// Most problems that are told of one partition.
const MAX_PROBLEMS: usize = 100;
/// Ends of the names of files that are on their way to another name.
const HALF_WAY: &[&str] = &["cleaned", "swap", "tmp"];

/// What was found in a partition.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) segments: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) first_offset: Option<i64>,
    pub(super) next_offset: i64,
    pub(super) problems: Vec<String>,
}

/// The segment files of a directory in order.
pub(super) fn segments(directory: &Path) -> Result<BTreeMap<i64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "log")
            && let Ok(base_offset) = base_offset(&path)
        {
            found.insert(base_offset, path);
        }
    }
    Ok(found)
}

/// Checks a partition's directory.
pub(super) fn check(partition: &Path) -> Result<Report> {
    let mut report = Report::default();
    let clean = is_clean(partition);
    let mut epochs = Epochs::read(partition, clean, &mut report.problems)?;
    let mut producers = Producers::list(partition, &mut report.problems)?;
    for (base_offset, path) in segments(partition)? {
        report.segments += 1;
        let first_problem = report.problems.len();
        check_segment(base_offset, &path, &mut report, &mut epochs, &mut producers)
            .with_context(|| path.display().to_string())?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for problem in &mut report.problems[first_problem..] {
            problem.insert_str(0, &format!("{file}: "));
        }
    }
    let end_offset = report.next_offset;
    producers.end(end_offset, &mut report.problems)?;
    epochs.end(end_offset, &mut report.problems);
    Found::beside(partition)?.check(end_offset, clean, &mut report.problems);
    if clean {
        check_names(partition, &mut report.problems)?;
    }
    report.problems.truncate(MAX_PROBLEMS);
    Ok(report)
}

fn check_names(partition: &Path, problems: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(partition)? {
        let path = entry?.path();
        let half_way = |end: &std::ffi::OsStr| HALF_WAY.iter().any(|name| end == *name);
        if path.extension().is_some_and(half_way) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            problems.push(format!("{name} was left half-way"));
        }
    }
    Ok(())
}

fn check_segment(
    base_offset: i64,
    path: &Path,
    report: &mut Report,
    epochs: &mut Epochs,
    producers: &mut Producers,
) -> Result<()> {
    let mut extent = Extent {
        base_offset,
        positions: BTreeMap::new(),
        last_offset: base_offset - 1,
        max_timestamp_ms: -1,
    };
    let mut lowest = base_offset.max(report.next_offset);
    if base_offset < report.next_offset {
        let next = report.next_offset;
        report.problems.push(format!(
            "begins before offset {next}, where the last one ends"
        ));
    }
    let mut batches = Batches::open(path)?;
    for batch in &mut batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(damage) => {
                report.problems.push(damage.to_string());
                continue;
            }
        };
        let header = &batch.header;
        if header.base_offset < lowest {
            let (position, offset) = (batch.position, header.base_offset);
            report.problems.push(format!(
                "position {position}: offset {offset} after {lowest} was due"
            ));
        }
        producers.meet(header, &mut report.problems)?;
        if let Some(problem) = epochs.meet(header) {
            let position = batch.position;
            report
                .problems
                .push(format!("position {position}: {problem}"));
        }
        match check_records(&batch) {
            Ok(count) => report.records += count,
            Err(error) => report
                .problems
                .push(format!("position {}: {error}", batch.position)),
        }
        lowest = header.last_offset() + 1;
        report.batches += 1;
        report.bytes += batch.bytes.len() as u64;
        report.first_offset.get_or_insert(header.base_offset);
        extent.positions.insert(batch.position, header.base_offset);
        extent.last_offset = header.last_offset();
        extent.max_timestamp_ms = extent.max_timestamp_ms.max(header.max_timestamp);
    }
    report.next_offset = report.next_offset.max(lowest);
    check_indexes(path, &extent, &mut report.problems)
}

/// Walks the records of a batch and counts them. Offsets may have gaps: compaction leaves them.
fn check_records(batch: &Batch) -> Result<u64, RecordError> {
    let header = &batch.header;
    let body = decompress(header, &batch.bytes, MAX_BATCH_BYTES)?;
    let (mut count, mut last) = (0, -1);
    for record in records(header, &body) {
        let delta = record?.offset_delta;
        if delta <= last || delta > header.last_offset_delta {
            return Err(RecordError::BadHeader(
                "the records' offsets do not rise within the batch",
            ));
        }
        last = delta;
        count += 1;
    }
    Ok(count)
}
