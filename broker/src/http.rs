//! Health checks and metrics over HTTP/1.1, apart from the clients' listener.
//!
//! It runs before the logs are recovered and until they are closed, so that whoever watches the
//! process can tell a long recovery or a slow stop from a dead process.
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::broker::Broker;

mod routes;

/// Connections at once; further ones wait in the backlog.
const CONNECTIONS: usize = 64;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept for further requests.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long the last answer of a connection may take to go out.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes that a head may have.
const HEAD_BYTES: usize = 16 << 10;

/// The broker, from the moment on when it serves clients.
pub type Serving = Arc<OnceLock<Arc<Broker>>>;

/// Answers until `stop` becomes true.
pub async fn serve(listener: TcpListener, serving: Serving, mut stop: watch::Receiver<bool>) {
    let routes = routes::all(serving);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (routes, stop) = (routes.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, routes, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "HTTP: accept failed");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, routes: Router, mut stop: watch::Receiver<bool>) {
    let running = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut running = std::pin::pin!(running);
    tokio::select! {
        ended = running.as_mut() => return log(&ended),
        () = sleep(LIFETIME) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    running.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(GRACE, running).await {
        log(&ended);
    }
}

fn log(ended: &hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP: connection lost");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn before_the_broker_is_there_it_is_healthy_but_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = watch::Sender::new(false);
        let server = tokio::spawn(serve(listener, Serving::default(), stop.subscribe()));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains("recovering"), "{ready}");
        let metrics = get(address, "/metrics").await;
        assert!(
            metrics.contains("\nprocess_resident_memory_bytes "),
            "{metrics}"
        );
        assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        stop.send_replace(true);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_starve_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = watch::Sender::new(false);
        let server = tokio::spawn(serve(listener, Serving::default(), stop.subscribe()));
        let mut silent = Vec::new();
        for _ in 0..=CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        stop.send_replace(true);
        server.await.unwrap();
    }
}
