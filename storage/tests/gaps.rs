//! A log with gaps between its offsets, as Apache Kafka's cleaner leaves them, in segments and between
//! them, started without a clean shutdown: nothing of it is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::path::Path;

use fixture::*;
use protocol::record::restamp;

/// Offsets of one record each, by segment.
type Segments = [(i64, &'static [i64])];

/// A directory with the partition `t-0`, as another broker left it.
fn left(segments: &Segments, checkpoints: &[(&str, i64)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(partition_dir(dir.path())).unwrap();
    for (base_offset, offsets) in segments {
        let mut bytes = Vec::new();
        for &offset in *offsets {
            let mut batch = batch(&[&offset.to_be_bytes()]).to_vec();
            restamp(&mut batch, offset, 0);
            bytes.extend(batch);
        }
        fs::write(segment_file(dir.path(), *base_offset, "log"), bytes).unwrap();
    }
    for (file, offset) in checkpoints {
        let path = dir.path().join(format!("{file}-offset-checkpoint"));
        fs::write(path, format!("0\n1\nt 0 {offset}\n")).unwrap();
    }
    dir
}

fn set_aside(dir: &Path) -> usize {
    let names = fs::read_dir(partition_dir(dir)).unwrap();
    names
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension()
                .is_some_and(|extension| extension == "corrupt")
        })
        .count()
}

/// What is there after an unclean start, and after a clean one.
fn check(segments: &Segments, checkpoints: &[(&str, i64)]) {
    let dir = left(segments, checkpoints);
    let all: Vec<i64> = segments
        .iter()
        .flat_map(|(_, offsets)| *offsets)
        .copied()
        .collect();
    let end = all.last().unwrap() + 1;
    for clean in [false, true] {
        let (logs, log, recovery) = reopen(dir.path(), &config());
        let told = format!("{checkpoints:?}, clean {clean}");
        assert_eq!(recovery.clean, clean, "{told}");
        assert_eq!(log.end_offset(), end, "{told}");
        assert_eq!(recovery.truncated_bytes, 0, "{told}");
        assert_eq!(set_aside(dir.path()), 0, "{told}");
        let start = log.start_offset();
        let found = read_values(&log, start)
            .into_iter()
            .map(|(offset, _)| offset);
        assert_eq!(found.collect::<Vec<_>>(), all, "{told}");
        for offset in start..end {
            let read = log.read(offset, i64::MAX, 1, true).unwrap();
            let mut first = None;
            for_each_record(&read.records, |offset, _| _ = first.get_or_insert(offset));
            assert_eq!(
                first,
                all.iter().find(|at| **at >= offset).copied(),
                "{told}"
            );
        }
        drop((log, recovery));
        logs.close().unwrap();
    }
}

const GAPS_WITHIN: &Segments = &[(0, &[0, 1, 5]), (10, &[12, 13, 14]), (20, &[20, 21])];
const GAPS_BETWEEN: &Segments = &[(0, &[0, 1, 2]), (10, &[10, 11]), (20, &[20, 21])];
const GAP_BEFORE_GAPS: &Segments = &[(0, &[0, 1, 2]), (10, &[10, 13]), (20, &[20, 21])];
const EMPTY: &Segments = &[(0, &[]), (10, &[10, 13]), (20, &[20, 21])];

#[test]
fn segments_after_a_gap_stay_in_the_log() {
    for points in [&[][..], &[("recovery-point", 0)], &[("recovery-point", 20)]] {
        check(GAPS_WITHIN, points);
        check(GAP_BEFORE_GAPS, points);
        check(EMPTY, points);
    }
    check(GAPS_BETWEEN, &[("cleaner", 20)]);
    check(GAPS_BETWEEN, &[("recovery-point", 12), ("cleaner", 20)]);
    check(GAPS_BETWEEN, &[("recovery-point", 20)]);
}

#[test]
fn a_recovery_point_in_a_gap_makes_no_batch_wrong() {
    for point in 0..=22 {
        check(GAPS_WITHIN, &[("recovery-point", point)]);
        check(GAP_BEFORE_GAPS, &[("recovery-point", point)]);
    }
}

#[test]
fn segments_after_a_torn_one_go_all_the_same() {
    // Nothing tells of a compaction: the end of the first one is missing.
    let dir = left(GAPS_BETWEEN, &[]);
    let (_logs, log, _) = reopen(dir.path(), &config());
    assert_eq!((log.end_offset(), set_aside(dir.path())), (3, 2));
    // A compacted one that is torn, and one that was compacted no further.
    for (segments, cleaner) in [(GAPS_WITHIN, 0), (GAPS_BETWEEN, 10)] {
        let dir = left(segments, &[("cleaner", cleaner)]);
        let path = segment_file(dir.path(), if cleaner == 0 { 0 } else { 10 }, "log");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (_logs, log, _) = reopen(dir.path(), &config());
        let end = log.end_offset();
        assert_eq!(end, if cleaner == 0 { 2 } else { 11 });
        let found = read_values(&log, 0).into_iter().map(|(offset, _)| offset);
        assert!(
            found.eq(segments
                .iter()
                .flat_map(|s| s.1)
                .copied()
                .take_while(|o| *o < end))
        );
    }
}
