//! Topics of projections: who may do what to them.
use super::*;
use crate::partition::Bell;

const COMPACT: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("segment.bytes", "1048576")];

fn owned(place: &Place, name: &str, projection: &str) -> Result<Uuid, TopicError> {
    let topic = place.topics().owned(name, 2, COMPACT, projection)?;
    Ok(topic.id)
}

#[test]
fn an_owned_topic_stays_its_owners_and_is_not_internal() {
    let mut place = Place::new();
    let made = owned(&place, "activity", "activity").unwrap();
    for reopen in [Place::reopen, Place::crash] {
        reopen(&mut place);
        assert_eq!(owned(&place, "activity", "activity").unwrap(), made);
        let topic = place.topics().get("activity").unwrap();
        assert_eq!((topic.owner(), topic.internal), (Some("activity"), false));
        assert_eq!(topic.partitions().len(), 2);
        assert_eq!(topic.overrides()["cleanup.policy"], "compact");
        place.assert_state_is_replay();
    }
    for (name, internal) in [
        ("__projection_state.activity", true),
        ("activity.dlq", false),
    ] {
        owned(&place, name, "activity").unwrap();
        assert_eq!(place.topics().get(name).unwrap().internal, internal);
    }
}

#[test]
fn a_topic_of_somebody_else_is_not_taken() {
    let place = Place::new();
    place.create("mine", 1).unwrap();
    owned(&place, "theirs", "other").unwrap();
    for (name, owner) in [("mine", None), ("theirs", Some("other"))] {
        let error = owned(&place, name, "activity").unwrap_err();
        let TopicError::NotOwned { owner: told, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(told.as_deref(), owner);
        assert!(place.topics().delete_owned(name, "activity").is_err());
        assert!(place.topics().get(name).is_some());
    }
}

#[test]
fn clients_neither_delete_nor_grow_an_owned_topic() {
    let place = Place::new();
    owned(&place, "activity", "activity").unwrap();
    let denied = Some(ErrorCode::TopicAuthorizationFailed);
    assert_eq!(code(place.delete("activity")), denied);
    let topics = place.topics();
    let grown = topics.create_partitions("activity", 3, None, false);
    assert_eq!(code(grown), denied);
    let topic = topics.get("activity").unwrap();
    assert_eq!(code(topic.check_open()), denied);
    assert_eq!(topic.partitions().len(), 2);
    let exists = Some(ErrorCode::TopicAlreadyExists);
    assert_eq!(code(place.create("activity", 1)), exists);
    topics.delete_owned("activity", "activity").unwrap();
    assert!(topics.get("activity").is_none());
    assert!(!place.folders().iter().any(|it| it.starts_with("activity")));
}

#[test]
fn only_the_cleanup_policy_and_the_kind_of_timestamps_are_fixed() {
    let place = Place::new();
    owned(&place, "activity", "activity").unwrap();
    let resource = Resource::Topic("activity".to_owned());
    let refused = place.set(&resource, "cleanup.policy", "delete");
    assert_eq!(code(refused), Some(ErrorCode::PolicyViolation));
    let refused = place.set(&resource, "message.timestamp.type", "LogAppendTime");
    assert_eq!(code(refused), Some(ErrorCode::PolicyViolation));
    // To replace all configs is to take back those that are not named.
    let replaced = Alteration::Replace(Configs::new());
    let replaced = place.topics().alter(&resource, replaced, true);
    assert_eq!(code(replaced), Some(ErrorCode::PolicyViolation));
    place.set(&resource, "cleanup.policy", "compact").unwrap();
    place.set(&resource, "segment.bytes", "2097152").unwrap();
    let topic = place.topics().get("activity").unwrap();
    assert_eq!(topic.config().segment_bytes, 2_097_152);
    assert!(topic.config().cleanup_policy.compact);
}

#[test]
fn names_of_projections_are_reserved() {
    let place = Place::new();
    for name in [
        "__projections",
        "__projection_commits",
        "__projection_state.x",
        "__projection_build.x",
    ] {
        let reserved = Some(ErrorCode::InvalidRequest);
        assert_eq!(code(place.create(name, 1)), reserved, "{name}");
    }
    place.create("__project", 1).unwrap();
}

#[test]
fn whoever_watches_learns_of_each_change() {
    let place = Place::new();
    let bell = Arc::new(Bell::default());
    let mut seen = place.topics().changes();
    let mut changed = |act: &dyn Fn()| {
        let _place = place.topics().register(&bell);
        act();
        let rung = bell.wait(std::time::Duration::ZERO);
        let now = place.topics().changes();
        let moved = now > seen;
        seen = now;
        assert_eq!(rung, moved);
        moved
    };
    assert!(changed(&|| _ = place.create("t", 1).unwrap()));
    assert!(changed(&|| {
        let topics = place.topics();
        topics.create_partitions("t", 2, None, false).unwrap();
    }));
    assert!(changed(&|| _ = owned(&place, "v", "v").unwrap()));
    assert!(!changed(&|| _ = owned(&place, "v", "v").unwrap()));
    assert!(changed(&|| place.delete("t").unwrap()));
    assert!(!changed(&|| drop(place.create("v", 1).unwrap_err())));
}
