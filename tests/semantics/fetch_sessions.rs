//! Fetch sessions (KIP-227): what did not change is not sent, and a session that the broker does
//! not know, or knows at another epoch, is refused.
use anyhow::Result;
use harness::{Batch, Broker, Options, Wire, ask, unique};
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::ForgottenTopic;

const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
const FETCH_SESSION_TOPIC_ID_ERROR: i16 = 106;

/// A broker, a topic with three partitions of which 0 has a record, and a session over all three.
struct Session {
    _broker: Broker,
    wire: Wire,
    topic: String,
    id: i32,
}

impl Session {
    fn open() -> Result<Self> {
        let broker = Broker::start(Options::default())?;
        let topic = unique("session");
        let mut wire = broker.wire()?;
        wire.create_topic(&topic, 3, &[])?;
        wire.produce(&topic, Batch::of(&["a"]).bytes())?;
        let partitions = (0..3)
            .map(|partition| ask::fetch_partition(partition, 0))
            .collect();
        let request = ask::fetch_many(&topic, partitions)
            .with_session_id(0)
            .with_session_epoch(0);
        let response = wire.call(12, &request)?;
        assert_eq!(response.error_code, 0);
        assert_eq!(
            response.responses[0].partitions.len(),
            3,
            "the first answer names all"
        );
        assert_ne!(response.session_id, 0, "no session was made");
        Ok(Self {
            _broker: broker,
            wire,
            topic,
            id: response.session_id,
        })
    }

    fn incremental(&self, epoch: i32) -> FetchRequest {
        ask::fetch(&self.topic, 0)
            .with_topics(Vec::new())
            .with_session_id(self.id)
            .with_session_epoch(epoch)
    }

    /// The partitions that the answer names.
    fn changed(&mut self, request: &FetchRequest) -> Result<Vec<i32>> {
        let response = self.wire.call(12, request)?;
        assert_eq!((response.error_code, response.session_id), (0, self.id));
        let partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        Ok(partitions
            .map(|partition| partition.partition_index)
            .collect())
    }
}

#[test]
fn only_partitions_with_news_are_named() -> Result<()> {
    let mut session = Session::open()?;
    // Partition 0 still has the record that the fetch position stands before.
    assert_eq!(session.changed(&session.incremental(1))?, [0]);
    let moved = ask::fetch_many(&session.topic, vec![ask::fetch_partition(0, 1)])
        .with_session_id(session.id)
        .with_session_epoch(2);
    assert_eq!(session.changed(&moved)?, [] as [i32; 0]);
    let topic = session.topic.clone();
    session.wire.produce(&topic, Batch::of(&["b"]).bytes())?;
    assert_eq!(session.changed(&session.incremental(3))?, [0]);
    Ok(())
}

#[test]
fn a_forgotten_partition_is_not_looked_at_any_more() -> Result<()> {
    let mut session = Session::open()?;
    let forgotten = ForgottenTopic::default()
        .with_topic(ask::topic(&session.topic))
        .with_partitions(vec![0]);
    let request = session
        .incremental(1)
        .with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(session.changed(&request)?, [] as [i32; 0]);
    assert_eq!(session.changed(&session.incremental(2))?, [] as [i32; 0]);
    Ok(())
}

#[test]
fn a_wrong_epoch_or_an_unknown_session_is_refused() -> Result<()> {
    let mut session = Session::open()?;
    let skipped = session.wire.call(12, &session.incremental(5))?;
    assert_eq!(skipped.error_code, INVALID_FETCH_SESSION_EPOCH);
    let unknown = session
        .incremental(1)
        .with_session_id(session.id.wrapping_add(77));
    assert_eq!(
        session.wire.call(12, &unknown)?.error_code,
        FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!(
        session.changed(&session.incremental(1))?,
        [0],
        "the session lives on"
    );
    Ok(())
}

#[test]
fn a_final_epoch_closes_the_session() -> Result<()> {
    let mut session = Session::open()?;
    let closing = session.incremental(-1);
    assert_eq!(session.wire.call(12, &closing)?.session_id, 0);
    let after = session.wire.call(12, &session.incremental(1))?;
    assert_eq!(after.error_code, FETCH_SESSION_ID_NOT_FOUND);
    Ok(())
}

#[test]
fn a_session_by_names_cannot_go_on_by_ids() -> Result<()> {
    let mut session = Session::open()?;
    let request = session.incremental(1);
    let response = session.wire.call(13, &request)?;
    assert_eq!(response.error_code, FETCH_SESSION_TOPIC_ID_ERROR);
    Ok(())
}
