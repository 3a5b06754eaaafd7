//! A broker that runs out of file descriptors goes on serving those who have one, and recovers.
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, eventually};
use kafka_protocol::messages::ApiVersionsRequest;

use crate::frames::check_alive;

#[test]
fn running_out_of_descriptors_is_survived() -> Result<()> {
    let mut broker = Broker::start(Options::default().open_files(64))?;
    let mut first = broker.wire()?;
    first.call(0, &ApiVersionsRequest::default())?;
    let crowd: std::io::Result<Vec<TcpStream>> = (0..200)
        .map(|_| TcpStream::connect(broker.bootstrap()))
        .collect();
    let crowd = crowd.context("the kernel accepts into the backlog")?;
    // Who came first is served while the table is full.
    for _ in 0..20 {
        first.call(0, &ApiVersionsRequest::default())?;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let log = broker.process()?.log();
    ensure!(
        log.contains("out of file descriptors"),
        "no warning:\n{log}"
    );
    drop(crowd);
    // The crowd's ends are noticed one by one: the next connection may still find none left.
    eventually("new connections to be served again", || {
        check_alive(&mut broker).ok()
    })?;
    first.call(0, &ApiVersionsRequest::default())?;
    Ok(())
}
