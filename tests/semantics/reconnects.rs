//! Idempotence through a client: one producer goes on while connections are cut and the broker is
//! killed; what it was told to be delivered is there once, in order.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use harness::{Broker, Options, PATIENCE, Proxy, rd, unique};
use rdkafka::producer::Producer;

const SETTINGS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("batch.num.messages", "20"),
    ("message.timeout.ms", "60000"),
    ("retry.backoff.ms", "10"),
];

/// Produces numbers until told to stop, while `disturb` runs; then checks the log against them.
fn disturbed(bootstrap: &str, topic: &str, mut disturb: impl FnMut() -> Result<()>) -> Result<()> {
    let producer = rd::producer(bootstrap, SETTINGS)?;
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| -> Result<usize> {
        let sender = scope.spawn(|| -> Result<usize> {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    rd::send(&producer, topic, 0, "key", &number.to_string())?;
                    number += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
            Ok(number)
        });
        let disturbed = disturb();
        stop.store(true, Ordering::Relaxed);
        let sent = sender.join().expect("the sender does not panic")?;
        disturbed.map(|()| sent)
    })?;
    producer.flush(PATIENCE)?;
    let reports = producer.context().all();
    assert_eq!(reports.len(), sent);
    let refused: Vec<_> = reports
        .iter()
        .filter(|report| report.error.is_some())
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let log: BTreeMap<i64, String> = rd::read_all(bootstrap, topic, 0, 0)?.into_iter().collect();
    let wanted: Vec<String> = (0..sent).map(|number| number.to_string()).collect();
    let found: Vec<&String> = log.values().collect();
    assert!(
        found.iter().copied().eq(&wanted),
        "sent {sent}, found {}",
        found.len()
    );
    for report in &reports {
        assert_eq!(
            log.get(&report.place.1),
            Some(&report.value),
            "the reported offset is wrong"
        );
    }
    Ok(())
}

#[test]
fn a_producer_survives_kill_9_without_loss_or_duplicates() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("killed");
    broker.wire()?.create_topic(&topic, 1, &[])?;
    let bootstrap = broker.bootstrap().to_owned();
    disturbed(&bootstrap, &topic, || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(400));
            broker.kill9()?;
            broker.restart()?;
        }
        thread::sleep(Duration::from_millis(400));
        Ok(())
    })
}

#[test]
fn a_producer_survives_cut_connections_without_loss_or_duplicates() -> Result<()> {
    let proxy = Proxy::bind()?;
    let options = Options::default().set("advertised.listeners", proxy.address());
    let broker = Broker::start(options)?;
    proxy.forward_to(broker.bootstrap());
    let topic = unique("cut");
    broker.wire()?.create_topic(&topic, 1, &[])?;
    disturbed(proxy.address(), &topic, || {
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(100));
            proxy.cut();
        }
        Ok(())
    })
}
