//! Accepts connections until the broker stops, whatever the state of the descriptor table.
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use crate::broker::Broker;
use crate::client_info::ClientInfo;

/// Pause after a failed accept that closing a spare descriptor did not mend.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Accepts and serves until `stopping` says so; then waits for the connections to finish, at most
/// `shutdown_timeout_ms`.
pub async fn serve(
    listener: TcpListener,
    broker: Arc<Broker>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut spare = File::open("/dev/null").ok();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                if connections.len() >= broker.settings.max_connections as usize {
                    tracing::warn!(
                        limit = broker.settings.max_connections,
                        "too many connections"
                    );
                    continue;
                }
                start(stream, &broker, &stopping, &mut connections);
            }
            Err(error) if out_of_descriptors(&error) => {
                shed(&listener, &mut spare).await;
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    let limit = Duration::from_millis(broker.settings.shutdown_timeout_ms as u64);
    if tokio::time::timeout(limit, finish).await.is_err() {
        tracing::warn!(
            limit_ms = limit.as_millis() as u64,
            "connections cut off at shutdown"
        );
    }
}

fn start(
    stream: TcpStream,
    broker: &Arc<Broker>,
    stopping: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let _ = stream.set_nodelay(true);
    // A peer that vanished without a word is found out while its requests wait, as in Apache Kafka.
    let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
    let client = ClientInfo::new(peer, local);
    let client = Arc::new(client);
    let open = broker.metrics.connection();
    // Spawned as it is: a future around it would make each connection's task twice as large.
    connections.spawn(connection::run(
        stream,
        Arc::clone(broker),
        client,
        stopping.clone(),
        open,
    ));
}

fn out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Without a free descriptor a connection stays in the backlog and accept fails at once, again and
/// again. The spare one is given up to accept it and close it, so that its client learns.
async fn shed(listener: &TcpListener, spare: &mut Option<File>) {
    tracing::warn!("out of file descriptors: a connection is refused");
    drop(spare.take());
    if let Ok(accepted) = tokio::time::timeout(BACK_OFF, listener.accept()).await {
        drop(accepted);
    }
    *spare = File::open("/dev/null").ok();
    tokio::time::sleep(BACK_OFF).await;
}
