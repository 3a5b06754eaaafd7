//! Golden bytes, and bytes that are none.
use super::*;

fn committed(expire_ms: Option<i64>) -> Committed {
    Committed {
        offset: 42,
        leader_epoch: if expire_ms.is_some() { -1 } else { 7 },
        metadata: "m".to_owned(),
        at: -1,
        commit_ms: 1_000,
        expire_ms,
    }
}

fn metadata() -> GroupMetadata {
    GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 3,
        protocol: Some("range".to_owned()),
        leader: Some("a".to_owned()),
        changed_ms: 5,
        members: vec![MemberMetadata {
            id: "a".to_owned(),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            rebalance_timeout_ms: 2,
            session_timeout_ms: 1,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"as"),
        }],
    }
}

#[test]
fn keys() {
    let key = offset_key("g", "t", 9);
    assert_eq!(&key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x09");
    let offset = Key::Offset {
        group: "g".to_owned(),
        topic: "t".to_owned(),
        partition: 9,
    };
    assert_eq!(Key::read(&key), Ok(offset.clone()));
    assert_eq!(Key::read(b"\0\0\0\x01g\0\x01t\0\0\0\x09"), Ok(offset));
    let key = group_key("g");
    assert_eq!(&key[..], b"\0\x02\0\x01g");
    assert_eq!(Key::read(&key), Ok(Key::Group("g".to_owned())));
    assert_eq!(Key::read(b"\0\x03\0\x01g"), Ok(Key::Other(3)));
}

#[test]
fn offsets_are_written_in_version_3() {
    let golden = b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x07\0\x01m\0\0\0\0\0\0\x03\xe8";
    assert_eq!(&committed(None).write()[..], golden);
    assert_eq!(Committed::read(golden), Ok(committed(None)));
}

#[test]
fn offsets_with_an_expire_time_are_written_in_version_1() {
    let golden = b"\0\x01\0\0\0\0\0\0\0\x2a\0\x01m\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x07\xd0";
    assert_eq!(&committed(Some(2_000)).write()[..], golden);
    assert_eq!(Committed::read(golden), Ok(committed(Some(2_000))));
}

#[test]
fn offsets_of_other_versions_are_read() {
    let old = Committed {
        leader_epoch: -1,
        ..committed(None)
    };
    for version in [0, 2] {
        let mut value = b"\0\0\0\0\0\0\0\0\0\x2a\0\x01m\0\0\0\0\0\0\x03\xe8".to_vec();
        value[1] = version;
        assert_eq!(Committed::read(&value), Ok(old.clone()));
    }
    let flexible = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x07\x02m\0\0\0\0\0\0\x03\xe8\x01\x05\x02ab";
    assert_eq!(Committed::read(flexible), Ok(committed(None)));
    assert_eq!(Committed::read(b"\0\x05"), Err(FormatError::Version(5)));
}

#[test]
fn groups_are_written_in_version_3() {
    let golden = b"\0\x03\0\x08consumer\0\0\0\x03\0\x05range\0\x01a\0\0\0\0\0\0\0\x05\
        \0\0\0\x01\0\x01a\xff\xff\0\x01c\0\x02/h\0\0\0\x02\0\0\0\x01\
        \0\0\0\x01s\0\0\0\x02as";
    assert_eq!(&metadata().write()[..], golden);
    assert_eq!(GroupMetadata::read(golden), Ok(metadata()));
}

#[test]
fn groups_of_other_versions_are_read() {
    let flexible = b"\0\x04\x09consumer\0\0\0\x03\x06range\x02a\0\0\0\0\0\0\0\x05\
        \x02\x02a\0\x02c\x03/h\0\0\0\x02\0\0\0\x01\x02s\x03as\0\0";
    assert_eq!(GroupMetadata::read(flexible), Ok(metadata()));
    let first = b"\0\0\0\x08consumer\0\0\0\x03\0\x05range\0\x01a\
        \0\0\0\x01\0\x01a\0\x01c\0\x02/h\0\0\0\x01\0\0\0\x01s\0\0\0\x02as";
    let mut old = metadata();
    old.changed_ms = -1;
    old.members[0].rebalance_timeout_ms = -1;
    assert_eq!(GroupMetadata::read(first), Ok(old));
}

#[test]
fn every_cut_is_an_error() {
    let key = offset_key("group", "topic", 1);
    let group = metadata().write();
    let offset = committed(None).write();
    for cut in 0..key.len() {
        assert!(Key::read(&key[..cut]).is_err());
    }
    for cut in 0..group.len() {
        assert!(GroupMetadata::read(&group[..cut]).is_err());
    }
    for cut in 0..offset.len() {
        assert!(Committed::read(&offset[..cut]).is_err());
    }
}

#[test]
fn a_count_that_lies_does_not_allocate() {
    let mut value = metadata().write().to_vec();
    let count = 2 + 10 + 4 + 7 + 3 + 8;
    value[count..count + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(GroupMetadata::read(&value), Err(FormatError::Short));
}
