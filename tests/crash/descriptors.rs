//! Too few file descriptors for the clients and the logs that are there.
use std::net::TcpStream;

use anyhow::{Result, ensure};
use harness::{Batch, Broker, Options, ask, eventually, unique};

use crate::kept::{KAFKA_STORAGE_ERROR, Kept};

#[test]
fn logs_and_clients_that_need_more_descriptors_than_there_are() -> Result<()> {
    let mut broker = Broker::start(Options::default().open_files(128))?;
    let mut wire = broker.wire()?;
    let mut kept = Kept::create(&mut wire)?;
    ensure!(kept.produce(&mut wire)? == 0);
    let topic = unique("many");
    wire.create_topic(&topic, 200, &[])?;
    let crowd: std::io::Result<Vec<TcpStream>> = (0..300)
        .map(|_| TcpStream::connect(broker.bootstrap()))
        .collect();
    let crowd = crowd?;
    let mut refused = 0;
    for partition in 0..200 {
        let mut request = ask::produce(&topic, Batch::of(&["a"]).bytes());
        request.topic_data[0].partition_data[0].index = partition;
        let answer = wire.call(9, &request)?;
        let code = answer.responses[0].partition_responses[0].error_code;
        ensure!(
            code == 0 || code == KAFKA_STORAGE_ERROR,
            "partition {partition}: {code}"
        );
        refused += usize::from(code != 0);
    }
    ensure!(refused > 0, "there were descriptors for all");
    ensure!(wire.fetch(&ask::fetch(&kept.topic, 0))?.error_code == 0);
    drop(crowd);
    eventually("service of a log that is open already", || {
        (kept.produce(&mut wire).ok()? == 0).then_some(())
    })?;
    eventually("new clients", || {
        broker.wire().ok()?.list_offset(&kept.topic, -1).ok()
    })?;
    kept.check(&broker)?;
    let log = broker.process()?.log();
    ensure!(
        !log.contains("a flush failed"),
        "a log is out of service:\n{log}"
    );
    broker.kill9()?;
    broker.restart()?;
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}
