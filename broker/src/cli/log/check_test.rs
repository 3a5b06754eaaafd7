//! Tests of the check: sound logs pass, each kind of damage is told.
use protocol::record::{BatchBuilder, Compression};
use tempfile::TempDir;

use super::*;

/// A segment with batches of two records at offsets 10, 12, 14.
fn partition() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    for (place, codec) in [Compression::None, Compression::Lz4, Compression::None]
        .iter()
        .enumerate()
    {
        let base_offset = 10 + 2 * place as i64;
        let mut batch = BatchBuilder::new()
            .base_offset(base_offset)
            .compression(*codec);
        batch.push(1000 + base_offset, Some(b"k"), Some(b"value"));
        batch.push(1001 + base_offset, Some(b"k"), None);
        bytes.extend_from_slice(&batch.build());
    }
    let path = folder.path().join("00000000000000000010.log");
    fs::write(&path, &bytes).unwrap();
    (folder, path, bytes)
}

fn problems(folder: &TempDir) -> Vec<String> {
    check(folder.path()).unwrap().problems
}

#[test]
fn a_sound_log_with_reserved_space_passes() {
    let (folder, path, mut bytes) = partition();
    bytes.extend([0; 5000]);
    fs::write(&path, &bytes).unwrap();
    let report = check(folder.path()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.batches, report.records), (3, 6));
    assert_eq!((report.first_offset, report.next_offset), (Some(10), 16));
    assert_eq!(partitions(folder.path()).unwrap(), [folder.path()]);
    let data_dir = tempfile::tempdir().unwrap();
    fs::write(data_dir.path().join("server.log"), b"not a segment").unwrap();
    assert!(partitions(data_dir.path()).is_err());
    let inside = data_dir.path().join("events-0");
    fs::rename(folder.path(), &inside).unwrap();
    assert_eq!(partitions(data_dir.path()).unwrap(), [inside]);
}

#[test]
fn a_flipped_bit_is_found_and_the_batches_after_it_are_read() {
    let (folder, path, bytes) = partition();
    for at in [12, 30, 70] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        let report = check(folder.path()).unwrap();
        assert_eq!(report.problems.len(), 1, "{at}");
        // The leader epoch at 12 lies outside the checksum.
        assert_eq!(report.batches, if at == 12 { 3 } else { 2 }, "{at}");
    }
}

#[test]
fn a_torn_tail_and_zeros_inside_are_found() {
    let (folder, path, bytes) = partition();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(problems(&folder).len(), 1);
    let mut hole = bytes.clone();
    hole.extend([0; 100]);
    hole.push(1);
    fs::write(&path, &hole).unwrap();
    assert!(
        problems(&folder)[0].contains("zeros"),
        "{:?}",
        problems(&folder)
    );
}

#[test]
fn offsets_that_fall_are_found_within_and_between_segments() {
    let (folder, path, bytes) = partition();
    fs::write(&path, [bytes.clone(), bytes.clone()].concat()).unwrap();
    assert!(problems(&folder)[0].contains("offset 10 after 16 was due"));
    fs::write(&path, &bytes).unwrap();
    fs::write(folder.path().join("00000000000000000012.log"), b"").unwrap();
    assert!(problems(&folder)[0].contains("begins before offset 16"));
}

#[test]
fn indexes_that_lie_are_found() {
    let (folder, path, bytes) = partition();
    let second = protocol::record::BatchHeader::parse(&bytes).unwrap().size() as u32;
    let index =
        |relative: u32, position: u32| [relative.to_be_bytes(), position.to_be_bytes()].concat();
    fs::write(path.with_extension("index"), index(3, second)).unwrap();
    assert_eq!(problems(&folder), Vec::<String>::new());
    for bad in [index(3, second + 1), index(1, second), index(6, second)] {
        fs::write(path.with_extension("index"), bad).unwrap();
        assert!(problems(&folder)[0].contains("offset index"));
    }
    fs::remove_file(path.with_extension("index")).unwrap();
    let time = |timestamp: i64, relative: u32| {
        [&timestamp.to_be_bytes()[..], &relative.to_be_bytes()[..]].concat()
    };
    fs::write(path.with_extension("timeindex"), time(1011, 1)).unwrap();
    assert_eq!(problems(&folder), Vec::<String>::new());
    fs::write(path.with_extension("timeindex"), time(9999, 1)).unwrap();
    assert!(problems(&folder)[0].contains("time index"));
}

/// A snapshot of one producer, as the broker writes it.
fn snapshot(producer_id: i64, sequence: i32, offset: i64) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend(1_i32.to_be_bytes());
    checked.extend(producer_id.to_be_bytes());
    checked.extend(0_i16.to_be_bytes());
    checked.extend(sequence.to_be_bytes());
    checked.extend(offset.to_be_bytes());
    checked.extend([0; 24]);
    let checksum = crc32c::crc32c(&checked).to_be_bytes();
    [&[0, 1], &checksum[..], &checked].concat()
}

#[test]
fn producer_snapshots_are_compared_with_the_batches_below_them() {
    let (folder, path, _) = partition();
    let mut bytes = Vec::new();
    for base_offset in [10, 12] {
        let mut batch =
            BatchBuilder::new()
                .base_offset(base_offset)
                .producer(7, 0, base_offset as i32 - 10);
        batch.push(1, Some(b"k"), None);
        batch.push(1, Some(b"k"), None);
        bytes.extend_from_slice(&batch.build());
    }
    fs::write(&path, bytes).unwrap();
    let at = |offset: i64| folder.path().join(format!("{offset:020}.snapshot"));
    fs::write(at(12), snapshot(7, 1, 11)).unwrap();
    fs::write(at(14), snapshot(7, 3, 13)).unwrap();
    assert_eq!(problems(&folder), Vec::<String>::new());
    for bad in [snapshot(7, 1, 11), snapshot(7, 2, 13), vec![0; 20]] {
        fs::write(at(14), bad).unwrap();
        assert!(problems(&folder)[0].contains("producer snapshot 14"));
    }
    fs::rename(at(14), at(15)).unwrap();
    assert!(
        problems(&folder)
            .iter()
            .any(|it| it.contains("the log ends at 14"))
    );
}

#[test]
fn leader_epochs_are_compared_with_the_batches() {
    let (folder, path, mut bytes) = partition();
    let epochs = folder.path().join("leader-epoch-checkpoint");
    // The builder's epoch is -1: it may rise, and must not fall.
    for (nth, wrong) in [(0, 1), (2, 0)] {
        let mut stamped = bytes.clone();
        let position = position_of(&bytes, nth) + 12;
        stamped[position..position + 4].copy_from_slice(&2_i32.to_be_bytes());
        fs::write(&path, stamped).unwrap();
        // Each batch after a higher epoch is told.
        assert_eq!(problems(&folder).len(), wrong * 2, "{nth}");
    }
    for position in [0, 1, 2].map(|nth| position_of(&bytes, nth)) {
        bytes[position + 12..position + 16].copy_from_slice(&3_i32.to_be_bytes());
    }
    fs::write(&path, &bytes).unwrap();
    fs::write(&epochs, "0\n1\n3 10\n").unwrap();
    assert_eq!(problems(&folder), Vec::<String>::new());
    for bad in [
        "0\n1\n4 10\n",
        "0\n2\n3 10\n4 14\n",
        "0\n2\n3 10\n2 12\n",
        "0\n1\n3 99\n",
        "x",
    ] {
        fs::write(&epochs, bad).unwrap();
        assert_ne!(problems(&folder), Vec::<String>::new(), "{bad:?}");
    }
}

fn position_of(bytes: &[u8], nth: usize) -> usize {
    let size = |at| {
        protocol::record::BatchHeader::parse(&bytes[at..])
            .unwrap()
            .size()
    };
    (0..nth).fold(0, |at, _| at + size(at))
}

#[test]
fn checkpoints_must_lie_within_the_log_and_names_be_whole_after_a_clean_stop() {
    let (folder, _, _) = partition();
    let data_dir = tempfile::tempdir().unwrap();
    let inside = data_dir.path().join("events-0");
    fs::rename(folder.path(), &inside).unwrap();
    let problems = || check(&inside).unwrap().problems;
    let points = data_dir.path().join("recovery-point-offset-checkpoint");
    let starts = data_dir.path().join("log-start-offset-checkpoint");
    fs::write(&points, "0\n2\nother 0 99\nevents 0 12\n").unwrap();
    fs::write(&starts, "0\n1\nevents 0 11\n").unwrap();
    fs::write(inside.join("00000000000000000010.log.swap"), b"").unwrap();
    assert_eq!(problems(), Vec::<String>::new());
    fs::write(data_dir.path().join(".kafka_cleanshutdown"), b"").unwrap();
    assert_eq!(problems().len(), 2, "{:?}", problems());
    fs::remove_file(inside.join("00000000000000000010.log.swap")).unwrap();
    fs::write(&points, "0\n1\nevents 0 16\n").unwrap();
    assert_eq!(problems(), Vec::<String>::new());
    fs::write(&points, "0\n1\nevents 0 17\n").unwrap();
    fs::write(&starts, "0\n1\nevents 0 17\n").unwrap();
    assert_eq!(problems().len(), 2, "{:?}", problems());
    fs::write(&starts, "0\n2\nevents 0 17\n").unwrap();
    assert!(problems()[0].contains("damaged"), "{:?}", problems());
}
