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
        // The leader epoch at 12 lies outside the checksum.
        assert_eq!(report.problems.len(), usize::from(at != 12), "{at}");
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
