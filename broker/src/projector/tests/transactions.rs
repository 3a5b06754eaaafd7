//! Records of transactions: committed ones count, aborted and undecided ones do not.
use protocol::record::BatchBuilder;
use storage::{Marker, Origin};

use super::stage::{Stage, events};
use crate::partition::now_ms;

const VIEW: &str = "user_activity";
const ON: (&str, &str) = ("projections", VIEW);

fn append(stage: &Stage, batch: &[u8], origin: Origin) {
    let partition = stage.open().topics.partition("events", 0).unwrap();
    partition.append(batch, origin).unwrap();
}

fn in_transaction(stage: &Stage, producer_id: i64, sequence: i32, values: &[String]) {
    let mut batch = BatchBuilder::new()
        .producer(producer_id, 0, sequence)
        .transactional();
    for value in values {
        batch.push(now_ms(), None, Some(value.as_bytes()));
    }
    append(stage, &batch.build(), Origin::Client);
}

fn end(stage: &Stage, producer_id: i64, commits: bool) {
    let marker = Marker {
        commits,
        coordinator_epoch: 0,
    };
    append(
        stage,
        &marker.batch(producer_id, 0, now_ms()),
        Origin::Internal,
    );
}

#[test]
fn a_view_is_made_of_what_was_committed() {
    let plain = Stage::new(&[ON]);
    plain.create("events", 1);
    plain.produce("events", 0, &events(0..30));
    plain.settle(VIEW);
    let of_committed = plain.digest(VIEW);
    plain.produce("events", 0, &events(90..100));
    plain.settle(VIEW);
    let of_all = plain.digest(VIEW);

    let mut stage = Stage::new(&[ON]);
    stage.create("events", 1);
    in_transaction(&stage, 1, 0, &events(0..20));
    in_transaction(&stage, 2, 0, &events(30..60));
    in_transaction(&stage, 1, 20, &events(20..30));
    in_transaction(&stage, 2, 30, &events(60..90));
    end(&stage, 2, false);
    end(&stage, 1, true);
    in_transaction(&stage, 3, 0, &events(90..100));
    stage.settle(VIEW);
    assert_eq!(stage.digest(VIEW), of_committed);
    stage.crash();
    stage.start_again();
    stage.settle(VIEW);
    assert_eq!(stage.digest(VIEW), of_committed);
    end(&stage, 3, true);
    stage.settle(VIEW);
    assert_eq!(stage.digest(VIEW), of_all);
}
