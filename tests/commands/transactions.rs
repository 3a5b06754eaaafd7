//! `klamm transaction`, and `klamm consume --read-committed`.
use anyhow::{Context, Result};
use harness::rd;
use harness::{Broker, Options, PATIENCE, unique};
use rdkafka::producer::Producer;

use crate::klamm::{done, run};

#[test]
fn a_transaction_that_hangs_is_found_and_aborted() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("hanging"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    let producer = rd::producer(at, &[("transactional.id", &topic)])?;
    producer.init_transactions(PATIENCE)?;
    producer.begin_transaction()?;
    rd::send(&producer, &topic, 0, "key", "open")?;
    producer.flush(PATIENCE)?;
    done(at, &["produce", &topic], "beside it\n")?;
    let committed = || {
        let args = ["consume", &topic, "-c", "9", "--read-committed"];
        anyhow::Ok(done(at, &args, "")?.out)
    };
    assert_eq!(committed()?, "");

    let listed = done(
        at,
        &["transaction", "list", "--state", "Ongoing", "--json"],
        "",
    )?;
    let listed = listed.json()?;
    let listed = listed.first().context("none is listed")?;
    assert_eq!(listed["transactional_id"], topic.as_str());
    let described = done(at, &["transaction", "describe", &topic, "--json"], "")?.json()?;
    assert_eq!(described[0]["state"], "Ongoing");
    assert_eq!(described[1]["topic"], topic.as_str());
    let open = done(at, &["transaction", "open", "-t", &topic, "--json"], "")?.json()?;
    assert_eq!(open[0]["first_offset"], 0);
    let id = open[0]["producer_id"].to_string();
    assert_eq!(listed["producer_id"], open[0]["producer_id"]);

    let abort = [
        "transaction",
        "abort",
        "-t",
        &topic,
        "-p",
        "0",
        "--producer-id",
        &id,
    ];
    done(at, &abort, "")?;
    assert_eq!(committed()?, "beside it\n");
    let again = run(at, &abort, "")?;
    assert_eq!(again.code, Some(1), "{}", again.err);
    let unknown = run(at, &["transaction", "describe", "nobody"], "")?;
    assert_eq!(unknown.code, Some(1));
    Ok(())
}
