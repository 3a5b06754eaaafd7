//! One connection: its requests, how long it lives, how it ends.
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::place::Place;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept for further requests.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long the last answer of a connection may take: longer than any request waits.
const LAST_ANSWER: Duration = Duration::from_secs(75);
/// How long the last answer may take to go out when the process stops.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes that a head may have.
const HEAD_BYTES: usize = 16 << 10;

/// Serves the connection to its end. Handlers find its place among the extensions of the request. One
/// whose client takes nothing any more ends by the write timeout of `stream`: nobody holds a place by
/// not reading.
pub(super) async fn serve(
    stream: TimeoutStream<TcpStream>,
    routes: Router,
    place: Arc<Place>,
    mut stop: watch::Receiver<bool>,
) {
    let routes = TowerToHyperService::new(routes);
    let here = Arc::clone(&place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&here));
        routes.call(request)
    });
    let running = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut running = std::pin::pin!(running);
    let stopped = tokio::select! {
        ended = running.as_mut() => return log(&ended),
        () = sleep(LIFETIME) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    };
    if !stopped {
        // An idle connection ends at once, one that answers when it has answered.
        running.as_mut().graceful_shutdown();
        tokio::select! {
            ended = running.as_mut() => return log(&ended),
            () = outlived(&place) => return,
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
    running.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(GRACE, running).await {
        log(&ended);
    }
}

/// Resolves when a last answer has taken too long; a stream lasts until either side has enough.
async fn outlived(place: &Place) {
    sleep(LAST_ANSWER).await;
    if place.is_stream() {
        pending::<()>().await;
    }
}

fn log(ended: &hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP: connection lost");
    }
}
