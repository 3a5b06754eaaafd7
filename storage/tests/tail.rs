//! The end of a log that was not closed: each bit of 64 KiB above the recovery point flipped, and the
//! file cut at each byte. The longest run of whole batches comes back, and what is cut off is kept.
//!
//! ```text
//! cargo test -p klamm-storage --test tail                                   some of them
//! KLAMM_TAIL_STEP=1 cargo test --release -p klamm-storage --test tail       every one
//! ```
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use fixture::memory::folder_in_memory;
use fixture::*;

/// Batches below the recovery point, which are durable.
const DURABLE: usize = 5;
/// Bytes above it, at least.
const TAIL_BYTES: usize = 64 * 1024;
/// Base offset and leader epoch lie outside the checksum.
const BASE_OFFSET: Range<usize> = 0..8;
const LEADER_EPOCH: Range<usize> = 12..16;

/// Every how many bits and bytes one is tried.
fn step(default: usize) -> usize {
    let step = std::env::var("KLAMM_TAIL_STEP").ok();
    step.map_or(default, |step| step.parse().unwrap())
}

/// A data directory as a crash left it.
struct Crashed {
    /// In memory if there is such a file system.
    root: tempfile::TempDir,
    /// Names and contents of the files beside the segment.
    others: Vec<(PathBuf, Vec<u8>)>,
    /// The segment without the space that was reserved.
    segment: Vec<u8>,
    /// Bytes of each batch.
    size: usize,
    count: usize,
}

impl Crashed {
    fn new() -> Self {
        let value = [b'v'; 900];
        let size = batch(&[&value]).len();
        let count = DURABLE + TAIL_BYTES.div_ceil(size);
        let (dir, logs, log) = create(&config());
        (0..DURABLE).for_each(|_| _ = append(&log, &batch(&[&value])));
        drop(log);
        logs.close().unwrap();
        drop(logs);
        let (logs, log, _) = reopen(dir.path(), &config());
        (DURABLE..count).for_each(|_| _ = append(&log, &batch(&[&value])));
        drop((logs, log));
        let mut segment = fs::read(segment_file(dir.path(), 0, "log")).unwrap();
        segment.truncate(count * size);
        let mut others = Vec::new();
        for folder in ["", "t-0"] {
            for entry in fs::read_dir(dir.path().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let of_log = ["log", "index", "timeindex"];
                let extension = path.extension().and_then(|e| e.to_str());
                if path.is_file() && !extension.is_some_and(|e| of_log.contains(&e)) {
                    let name = path.strip_prefix(dir.path()).unwrap().to_owned();
                    others.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        Self {
            root: folder_in_memory(),
            others,
            segment,
            size,
            count,
        }
    }

    /// Opens it with other bytes in the segment: the offsets that are there, and what was kept.
    fn open(&self, segment: &[u8]) -> (i64, Vec<i64>, Option<Vec<u8>>) {
        let dir = self.root.path().join("data");
        fs::create_dir_all(dir.join("t-0")).unwrap();
        for (name, content) in &self.others {
            fs::write(dir.join(name), content).unwrap();
        }
        fs::write(segment_file(&dir, 0, "log"), segment).unwrap();
        let (logs, log, recovery) = reopen(&dir, &config());
        assert!(!recovery.clean);
        let offsets = read_values(&log, 0).into_iter().map(|(offset, _)| offset);
        let (end, offsets) = (log.end_offset(), offsets.collect());
        let kept = fs::read_dir(partition_dir(&dir))
            .unwrap()
            .find_map(|entry| {
                let path = entry.unwrap().path();
                let is_copy = path.extension().is_some_and(|e| e == "corrupt");
                is_copy.then(|| fs::read(path).unwrap())
            });
        drop((logs, log, recovery));
        fs::remove_dir_all(&dir).unwrap();
        (end, offsets, kept)
    }

    /// Opens it and expects the first `whole` batches, and a copy of the rest.
    fn check(&self, segment: &[u8], whole: usize, told: &str) {
        let (end, offsets, kept) = self.open(segment);
        assert_eq!(end, whole as i64, "{told}");
        assert!(offsets.iter().copied().eq(0..whole as i64), "{told}");
        let rest = &segment[whole * self.size..];
        let last = rest.iter().rposition(|&byte| byte != 0);
        let expected = last.map(|last| &rest[..=last]);
        assert!(kept.as_deref() == expected, "the copy: {told}");
    }
}

#[test]
fn a_flipped_bit_costs_its_batch_and_what_follows() {
    let crashed = Crashed::new();
    let durable = DURABLE * crashed.size;
    for bit in (durable * 8..crashed.segment.len() * 8).step_by(step(211)) {
        let mut segment = crashed.segment.clone();
        segment[bit / 8] ^= 1 << (bit % 8);
        let (batch, at) = (bit / 8 / crashed.size, bit / 8 % crashed.size);
        let told = format!("batch {batch}, byte {at}, bit {}", bit % 8);
        if LEADER_EPOCH.contains(&at) {
            crashed.check(&segment, crashed.count, &told);
        } else if BASE_OFFSET.contains(&at) && batch + 1 == crashed.count {
            // Nothing after it shows that it is wrong: it may be taken for one with a gap before it.
            let (end, offsets, _) = crashed.open(&segment);
            assert!(end >= batch as i64, "{told}");
            assert!(
                offsets.into_iter().take(batch).eq(0..batch as i64),
                "{told}"
            );
        } else {
            crashed.check(&segment, batch, &told);
        }
    }
}

#[test]
fn a_file_that_is_cut_keeps_its_whole_batches() {
    let crashed = Crashed::new();
    let durable = DURABLE * crashed.size;
    for length in (durable..crashed.segment.len()).step_by(step(97)) {
        let whole = length / crashed.size;
        let told = format!("cut at {length}");
        crashed.check(&crashed.segment[..length], whole, &told);
    }
}
