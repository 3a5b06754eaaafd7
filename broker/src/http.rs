//! HTTP/1.1, apart from the clients' listener: health checks, metrics, views and projections.
//!
//! It runs before the logs are recovered and until they are closed, so that whoever watches the
//! process can tell a long recovery or a slow stop from a dead process.
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;

use crate::broker::Broker;
use place::{Place, STREAMS};

mod base64;
mod connection;
mod json_body;
mod place;
mod position;
mod problem;
mod reading;
mod rooms;
mod routes;

/// Connections at once, streams not counted; further ones wait in the backlog.
const CONNECTIONS: usize = 64;

/// The broker, from the moment on when it serves clients.
pub type Serving = Arc<OnceLock<Arc<Broker>>>;

/// Answers until `stop` becomes true. A client that takes nothing of an answer for longer than
/// `patience` loses its connection.
pub async fn serve(
    listener: TcpListener,
    serving: Serving,
    patience: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let routes = routes::all(rooms::Rooms::new(serving));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let streams = Arc::new(Semaphore::new(STREAMS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match (accepted, place) {
            (Ok((stream, _)), Ok(place)) => {
                let place = Arc::new(Place::new(place, Arc::clone(&streams)));
                let mut stream = TimeoutStream::new(stream);
                stream.set_write_timeout(Some(patience));
                let served = connection::serve(stream, routes.clone(), place, stop.clone());
                tokio::spawn(served);
            }
            (Err(error), _) => {
                tracing::debug!(%error, "HTTP: accept failed");
                sleep(Duration::from_millis(50)).await;
            }
            // Nobody closes the semaphore.
            (_, Err(_)) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    struct Server {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        running: JoinHandle<()>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop = watch::Sender::new(false);
            let running = tokio::spawn(serve(
                listener,
                Serving::default(),
                Duration::from_secs(30),
                stop.subscribe(),
            ));
            Self {
                address,
                stop,
                running,
            }
        }

        async fn ask(&self, head: &str, body: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let length = body.len();
            let request = format!(
                "{head}host: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }

        async fn get(&self, path: &str) -> String {
            self.ask(&format!("GET {path} HTTP/1.1\r\n"), "").await
        }

        async fn stop(self) {
            self.stop.send_replace(true);
            self.running.await.unwrap();
        }
    }

    #[tokio::test]
    async fn before_the_broker_is_there_it_is_healthy_but_not_ready() {
        let server = Server::start().await;
        assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
        for path in ["/readyz", "/v1/views", "/v1/projections", "/v1/dlq/x"] {
            let answer = server.get(path).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.contains("recovering"), "{answer}");
        }
        let metrics = server.get("/metrics").await;
        assert!(
            metrics.contains("\nprocess_resident_memory_bytes "),
            "{metrics}"
        );
        server.stop().await;
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_as_json() {
        let server = Server::start().await;
        let (json, form) = ("application/json", "text/plain");
        let post = |path: &str, kind: &str| {
            format!("POST /v1/{path} HTTP/1.1\r\ncontent-type: {kind}\r\n")
        };
        for (head, code) in [
            ("GET /nothing HTTP/1.1\r\n".to_owned(), 404),
            (post("views", json), 405),
            ("GET /v1/projections/x/pause HTTP/1.1\r\n".to_owned(), 405),
            (post("projections/x/pause", form), 415),
            (post("projections/x/pause", json), 503),
        ] {
            let answer = server.ask(&head, "{}").await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {code}")),
                "{head}{answer}"
            );
            let told = format!("{{\"error_code\":{code},\"message\":\"");
            assert!(answer.contains(&told), "{head}{answer}");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_starve_the_stop() {
        let server = Server::start().await;
        let mut silent = Vec::new();
        for _ in 0..=CONNECTIONS {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        server.stop().await;
    }
}
