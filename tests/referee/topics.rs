//! Making, describing, growing and deleting topics.
use anyhow::Result;
use harness::Options;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    ListConfigResourcesRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::both::Both;

fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

fn topic(text: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(text))
        .with_num_partitions(1)
        .with_replication_factor(1)
}

fn config(topic: CreatableTopic, key: &str, value: Option<&str>) -> CreatableTopic {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let config = CreatableTopicConfig::default()
        .with_name(text(key))
        .with_value(value.map(text));
    topic.with_configs(vec![config])
}

fn assigned(text: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    });
    topic(text)
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(assignments.collect())
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(10_000)
}

fn creations(both: &mut Both) -> Result<()> {
    // Kafka has some configs that klamm does not (tiering at ELR level, say), and the other way
    // round; the configs of an answer are compared where they are described.
    let own = &["configs"];
    both.ask("create", 2..=7, own, |version| {
        let made = topic(&format!("made-{version}")).with_num_partitions(2);
        create(vec![made])
    })?;
    both.ask("create with defaults", 4..=7, own, |version| {
        let made = topic(&format!("default-{version}"));
        let made = made.with_num_partitions(-1).with_replication_factor(-1);
        create(vec![made])
    })?;
    both.ask("create with an assignment", 7..=7, own, |_| {
        create(vec![assigned("assigned", &[(1, &[1]), (0, &[1])])])
    })?;
    both.ask("create only to validate", 7..=7, own, |_| {
        create(vec![topic("validated")]).with_validate_only(true)
    })?;
    let no_value = config(topic("r"), "retention.ms", None);
    let refused = [
        ("exists", topic("made-7")),
        ("collides", topic("made.x_")),
        ("collides again", topic("made_x.")),
        ("illegal name", topic("a b")),
        ("empty name", topic("")),
        ("dots", topic("..")),
        ("long name", topic(&"x".repeat(250))),
        ("no partitions", topic("r").with_num_partitions(0)),
        ("negative partitions", topic("r").with_num_partitions(-2)),
        ("two replicas", topic("r").with_replication_factor(2)),
        ("no replicas", topic("r").with_replication_factor(0)),
        ("negative replicas", topic("r").with_replication_factor(-2)),
        ("unknown config", config(topic("r"), "no.such", Some("1"))),
        (
            "bad config",
            config(topic("r"), "retention.ms", Some("soon")),
        ),
        (
            "config out of range",
            config(topic("r"), "retention.ms", Some("-2")),
        ),
        (
            "bad policy",
            config(topic("r"), "cleanup.policy", Some("burn")),
        ),
        ("null config", no_value),
        ("other broker", assigned("r", &[(0, &[2])])),
        ("no broker", assigned("r", &[(0, &[])])),
        ("broker twice", assigned("r", &[(0, &[1, 1])])),
        ("not from 0", assigned("r", &[(1, &[1])])),
        ("assigned twice", assigned("r", &[(0, &[1]), (0, &[1])])),
        (
            "count and assignment",
            assigned("r", &[(0, &[1])]).with_num_partitions(1),
        ),
        (
            "factor and assignment",
            assigned("r", &[(0, &[1])]).with_replication_factor(1),
        ),
    ];
    for (question, topic) in refused {
        let question = format!("create: {question}");
        both.ask(&question, 7..=7, own, |_| create(vec![topic.clone()]))?;
    }
    both.ask("create twice at once", 7..=7, own, |_| {
        create(vec![topic("twice"), topic("twice")])
    })
}

fn growth(both: &mut Both) -> Result<()> {
    let grow = |text: &str, count| {
        CreatePartitionsTopic::default()
            .with_name(name(text))
            .with_count(count)
            .with_assignments(None)
    };
    let to = |brokers: &[i32]| {
        CreatePartitionsAssignment::default()
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    };
    for (question, topics) in [
        ("more", vec![grow("made-2", 3)]),
        ("as many", vec![grow("made-3", 2)]),
        ("fewer", vec![grow("made-3", 1)]),
        ("negative", vec![grow("made-3", -1)]),
        ("unknown", vec![grow("unknown", 3)]),
        ("twice", vec![grow("made-3", 3), grow("made-3", 4)]),
        (
            "too few assignments",
            vec![grow("made-3", 4).with_assignments(Some(vec![to(&[1])]))],
        ),
        (
            "other broker",
            vec![grow("made-3", 3).with_assignments(Some(vec![to(&[2])]))],
        ),
        (
            "assigned",
            vec![grow("made-3", 3).with_assignments(Some(vec![to(&[1])]))],
        ),
    ] {
        let question = format!("grow: {question}");
        both.ask(&question, 3..=3, &[], |_| {
            CreatePartitionsRequest::default()
                .with_topics(topics.clone())
                .with_timeout_ms(10_000)
        })?;
    }
    both.ask("grow only to validate", 0..=3, &[], |_| {
        CreatePartitionsRequest::default()
            .with_topics(vec![grow("made-4", 9)])
            .with_validate_only(true)
            .with_timeout_ms(10_000)
    })
}

fn metadata(both: &mut Both) -> Result<()> {
    let named = |texts: &[&str]| {
        let topics = texts
            .iter()
            .map(|text| MetadataRequestTopic::default().with_name(Some(name(text))));
        MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(false)
    };
    // Kafka gives them in no order.
    let order = &["partition_index"];
    both.ask("metadata: known", 4..=13, order, |_| named(&["made-2"]))?;
    both.ask("metadata: v0-3 create by themselves", 0..=3, order, |_| {
        named(&["made-2"]).with_allow_auto_topic_creation(true)
    })?;
    both.ask("metadata: nothing", 4..=13, &[], |_| named(&[]))?;
    both.ask("metadata: unknown", 4..=13, &[], |_| named(&["unknown"]))?;
    both.ask("metadata: illegal", 4..=13, &[], |_| named(&["a b"]))?;
    both.ask("metadata: illegal, to be made", 4..=13, &[], |_| {
        named(&["a b"]).with_allow_auto_topic_creation(true)
    })?;
    both.ask("metadata: operations", 8..=13, order, |version| {
        named(&["made-2"])
            .with_include_topic_authorized_operations(true)
            .with_include_cluster_authorized_operations(version <= 10)
    })?;
    let by_id = |id: u128, text: Option<&str>| {
        let topic = MetadataRequestTopic::default()
            .with_topic_id(Uuid::from_u128(id))
            .with_name(text.map(name));
        MetadataRequest::default().with_topics(Some(vec![topic]))
    };
    both.ask("metadata: unknown id", 12..=13, &[], |_| by_id(77, None))?;
    both.ask("metadata: id and name", 10..=13, &[], |_| {
        by_id(77, Some("made-2"))
    })
}

fn descriptions(both: &mut Both) -> Result<()> {
    let pages = |texts: &[&str], limit, cursor: Option<(&str, i32)>| {
        let topics = texts.iter();
        let topics = topics.map(|text| TopicRequest::default().with_name(name(text)));
        DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor.map(|(topic, partition)| {
                Cursor::default()
                    .with_topic_name(name(topic))
                    .with_partition_index(partition)
            }))
    };
    let all = &["made-2", "made-3", "made-4"][..];
    // Kafka leaves these null until a replica has been lost.
    let own = &["eligible_leader_replicas", "last_known_elr"];
    for (question, texts, limit, cursor) in [
        ("all of them", all, 2000, None),
        ("two partitions", all, 2, None),
        ("four partitions", all, 4, None),
        ("from a cursor", all, 3, Some(("made-3", 1))),
        ("past the end", all, 3, Some(("made-3", 50))),
        ("a cursor elsewhere", all, 3, Some(("made-9", 0))),
        ("a negative cursor", all, 3, Some(("made-3", -1))),
        ("no limit", all, 0, None),
        ("unknown", &["unknown", "made-2", "a b"], 2000, None),
    ] {
        let question = format!("describe partitions: {question}");
        both.ask(&question, 0..=0, own, |_| pages(texts, limit, cursor))?;
    }
    for kind in [1, 2, 3] {
        both.ask("describe cluster", 1..=2, &[], |_| {
            DescribeClusterRequest::default()
                .with_endpoint_type(kind)
                .with_include_cluster_authorized_operations(true)
        })?;
    }
    both.ask("describe cluster", 0..=0, &[], |_| {
        DescribeClusterRequest::default()
    })?;
    let dirs = ["log_dir", "total_bytes", "usable_bytes"];
    for (question, text) in [("known", "made-2"), ("unknown", "unknown")] {
        let question = format!("log directories: {question}");
        both.ask(&question, 1..=4, &dirs, |_| {
            let topic = DescribableLogDirTopic::default()
                .with_topic(name(text))
                .with_partitions(vec![1]);
            DescribeLogDirsRequest::default().with_topics(Some(vec![topic]))
        })?;
    }
    both.ask("config resources", 0..=0, &[], |_| {
        ListConfigResourcesRequest::default()
    })?;
    for kind in [4, 8, 16, 32, 64] {
        let question = format!("config resources of type {kind}");
        both.ask(&question, 1..=1, &[], |_| {
            ListConfigResourcesRequest::default().with_resource_types(vec![kind])
        })?;
    }
    Ok(())
}

fn deletions(both: &mut Both) -> Result<()> {
    let by_name = |texts: &[&str]| {
        let names = texts.iter().map(|text| name(text));
        DeleteTopicsRequest::default()
            .with_topic_names(names.collect())
            .with_timeout_ms(10_000)
    };
    both.ask("delete: unknown", 1..=5, &[], |_| by_name(&["unknown"]))?;
    both.ask("delete: twice", 1..=5, &[], |_| {
        by_name(&["made-7", "made-7"])
    })?;
    both.ask("delete", 2..=5, &[], |version| {
        by_name(&[&format!("made-{version}")])
    })?;
    let state = |text: Option<&str>, id: u128| {
        DeleteTopicState::default()
            .with_name(text.map(name))
            .with_topic_id(Uuid::from_u128(id))
    };
    for (question, states) in [
        ("by unknown id", vec![state(None, 77)]),
        ("by id twice", vec![state(None, 77), state(None, 77)]),
        ("by name and id", vec![state(Some("made-7"), 77)]),
        ("by nothing", vec![state(None, 0)]),
        ("by name", vec![state(Some("made-7"), 0)]),
        ("again", vec![state(Some("made-7"), 0)]),
    ] {
        let question = format!("delete: {question}");
        both.ask(&question, 6..=6, &[], |_| {
            DeleteTopicsRequest::default()
                .with_topics(states.clone())
                .with_timeout_ms(10_000)
        })?;
    }
    Ok(())
}

#[test]
fn topics_are_made_described_grown_and_deleted_alike() -> Result<()> {
    let mut both = Both::start(&Options::default())?;
    // Something for names to collide with.
    both.ask("create", 7..=7, &["configs"], |_| {
        create(vec![topic("made.x.")])
    })?;
    creations(&mut both)?;
    growth(&mut both)?;
    metadata(&mut both)?;
    descriptions(&mut both)?;
    deletions(&mut both)?;
    both.agreed()
}
