//! Groups of projections, over a real journal.
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use config::{Settings, TopicConfig};
use protocol::error::ErrorCode;
use storage::Logs;

use super::*;
use crate::coordinator::group::{Join, Leaver, State, Sync};
use crate::metadata::{Configs, Topics, log_config, storage_options};

const GROUP: &str = "__projection.activity";

fn open(dir: &Path) -> (Arc<Topics>, Groups) {
    let flags = vec![("data-dir".to_owned(), dir.display().to_string())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let settings = Arc::new(settings);
    let config = TopicConfig::resolve(&Configs::new(), &settings).unwrap();
    let (logs, recovery) = Logs::open(storage_options(&settings), &log_config(&config)).unwrap();
    let logs = Arc::new(logs);
    let topics = Arc::new(Topics::open(logs, &settings, recovery).unwrap());
    let groups = Groups::open(Arc::clone(&topics), &settings).unwrap();
    (topics, groups)
}

fn offset(groups: &Groups, partition: i32) -> i64 {
    groups.positions_of(GROUP, "events", &[partition])[0].offset
}

fn journal_end(topics: &Topics) -> i64 {
    let topic = topics.get("__consumer_offsets").unwrap();
    let partitions = topic.partitions();
    partitions.iter().map(|it| it.log.end_offset()).sum()
}

#[test]
fn a_plain_thread_commits_and_everybody_can_look() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (topics, groups) = open(dir.path());
        let both = [("events", 0, 7), ("events", 1, 3)];
        groups.commit_internal(GROUP, &both).unwrap();
        let end = journal_end(&topics);
        groups.commit_internal(GROUP, &both).unwrap();
        assert_eq!(journal_end(&topics), end, "what is so is not written again");
        let next = [("events", 0, 9), ("events", 1, 3)];
        groups.commit_internal(GROUP, &next).unwrap();
        assert_eq!(journal_end(&topics), end + 1);
        assert_eq!((offset(&groups, 0), offset(&groups, 1)), (9, 3));
        let described = groups.describe(GROUP).unwrap();
        assert_eq!(described.state, State::Empty);
        assert!(described.members.is_empty());
        assert_eq!(groups.list().len(), 1);
    }
    let (_topics, groups) = open(dir.path());
    assert_eq!((offset(&groups, 0), offset(&groups, 1)), (9, 3));
    groups.delete_internal(GROUP).unwrap();
    groups.delete_internal(GROUP).unwrap();
    assert!(groups.describe(GROUP).is_none());
}

#[tokio::test]
async fn clients_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_topics, groups) = open(dir.path());
    groups.commit_internal(GROUP, &[("events", 0, 7)]).unwrap();
    let refused = ErrorCode::GroupAuthorizationFailed;
    let join = Join {
        member_id: Arc::default(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: Vec::new(),
        needs_member_id: true,
        can_skip_assignment: true,
    };
    assert_eq!(groups.join(GROUP, join).await.unwrap_err().error, refused);
    let sync = Sync {
        member_id: Arc::default(),
        instance_id: None,
        generation: 0,
        protocol_type: None,
        protocol: None,
        assignments: HashMap::new(),
    };
    assert_eq!(groups.sync(GROUP, sync).await.unwrap_err(), refused);
    assert_eq!(groups.heartbeat(GROUP, "m", None, 0), Err(refused));
    let leaver = Leaver {
        member_id: Arc::default(),
        instance_id: None,
    };
    assert_eq!(groups.leave(GROUP, &[leaver]).await, Err(refused));
    let simple = Committer {
        member_id: "",
        instance_id: None,
        generation: -1,
    };
    let commit = Commit {
        topic: "events".into(),
        partition: 0,
        offset: 0,
        leader_epoch: -1,
        metadata: String::new(),
    };
    let unknown = ErrorCode::GroupIdNotFound;
    let committed = groups.commit(GROUP, simple, vec![commit], None, unknown);
    assert_eq!(committed.await, Err(refused));
    let place = ("events".into(), 0);
    assert_eq!(groups.delete_offsets(GROUP, &[place]).await, Err(refused));
    assert_eq!(groups.delete(GROUP).await, Err(refused));
    assert_eq!(offset(&groups, 0), 7);
}
