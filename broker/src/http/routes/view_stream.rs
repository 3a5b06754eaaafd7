//! `/v1/views/{view}/stream`: server-sent events, a snapshot and then every change.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use storage::ReadError;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::broker::Broker;
use crate::http::place::{Place, STREAMS};
use crate::http::problem::Problem;
use crate::http::reading::{self, ReadingError};
use crate::http::rooms::{self, Rooms};
use crate::partition::Partition;
use crate::projector::Handle;
use event_id::EventId;
use progress::Progress;

mod event_id;
mod progress;
#[cfg(test)]
mod tests;
mod text;

/// Rows of a snapshot that are looked at together.
const ROWS: usize = 64;
/// A stream that has nothing to tell says so this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: Option<String>,
}

/// `GET /v1/views/{view}/stream`.
pub(super) async fn open(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    Extension(place): Extension<Arc<Place>>,
    head: HeaderMap,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    let last = last_event(&head, asked.from.as_deref())?;
    let view = Arc::clone(rooms.view(&name)?);
    let broker = Arc::clone(rooms.broker()?);
    let serving = rooms::now(&view)?;
    let partition = broker.topics.partition(&name, 0);
    let partition =
        partition.ok_or_else(|| Problem::unavailable(format!("there is no topic {name}")))?;
    if !place.become_stream() {
        return Err(Problem::unavailable(format!(
            "{STREAMS} streams are open already"
        )));
    }
    // A client may have seen records of a commit that the rows do not show yet.
    let end = serving.rows_next.max(partition.high_watermark());
    let (progress, restart) = match last {
        None => (Progress::snapshot(serving.rows_next), None),
        last => Progress::after(last, partition.log.start_offset(), end),
    };
    let mut greeting = text::GREETING.as_bytes().to_vec();
    let progress = match restart {
        None => progress,
        Some(reason) => {
            text::restart(&mut greeting, &reason);
            Progress::snapshot(serving.rows_next)
        }
    };
    let stream = Stream {
        stopping: broker.stopping(),
        broker,
        view,
        partition,
        progress: Some(progress),
        pending: greeting,
    };
    // Pulled by the connection whenever it has room: what a slow client does not take is not made.
    let body = Body::from_stream(unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), stream))
    }));
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (CONNECTION, "close"),
    ];
    Ok((head, rooms::headers(&serving), body).into_response())
}

/// The last event that the client got, if it had any.
fn last_event(head: &HeaderMap, from: Option<&str>) -> Result<Option<EventId>, Problem> {
    let header = head.get("last-event-id");
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
    // A client that comes back with a header still has the URL that it began with.
    let id = header.as_deref().or(from).filter(|id| !id.is_empty());
    let Some(id) = id else { return Ok(None) };
    match id.parse() {
        Ok(id) => Ok(Some(id)),
        Err(()) => Err(Problem::bad(format!("{id:?} is not an id of this stream"))),
    }
}

/// A stream at work.
struct Stream {
    broker: Arc<Broker>,
    view: Arc<Handle>,
    partition: Arc<Partition>,
    stopping: watch::Receiver<bool>,
    /// `None` once it has ended.
    progress: Option<Progress>,
    /// Text that is to go out first.
    pending: Vec<u8>,
}

impl Stream {
    /// The next piece of text; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if !self.pending.is_empty() {
                return Some(std::mem::take(&mut self.pending));
            }
            if *self.stopping.borrow() {
                return None;
            }
            match self.progress.take()? {
                Progress::Snapshot { below, after } => self.snapshot(below, after).await,
                Progress::Records { next } => self.records(next).await,
            }
        }
    }

    /// Some more of the snapshot, from the rows as they are now: another generation may have taken
    /// the place of the one that the snapshot began with.
    async fn snapshot(&mut self, below: i64, after: Option<Vec<u8>>) {
        // Before the look: a commit in between is not missed.
        let mut commits = self.view.commits();
        let range = Progress::rest(after.as_deref());
        let progress = Progress::Snapshot { below, after };
        let Some(serving) = self.view.serving() else {
            self.progress = Some(progress);
            return self.wait(async { drop(commits.changed().await) }).await;
        };
        let rows = range.look(serving.table.as_ref(), ROWS);
        let ended = rows.len() < ROWS;
        self.progress = Some(progress.take_rows(&rows, ended, &mut self.pending));
        // Many looks may give nothing: the thread is for others, too.
        tokio::task::yield_now().await;
    }

    /// The records from `next` on, or a wait for some.
    async fn records(&mut self, next: i64) {
        let wake = Arc::new(Notify::new());
        let partition = Arc::clone(&self.partition);
        // Before the look, see `partition::waiters`.
        let _place = partition.register(&wake);
        let read = reading::read(&partition, next, i64::MAX, Vec::new(), |out, found| {
            if let Some(key) = found.record.key {
                let id = EventId::Record(found.offset);
                text::row(out, Some(&id), key, found.record.value, found.timestamp);
            }
        });
        match read.await {
            Ok((text, further)) => {
                self.pending = text;
                self.progress = Some(Progress::Records { next: further });
                if further == next {
                    self.wait(wake.notified()).await;
                }
            }
            Err(ReadingError::Read(ReadError::OutOfRange { start, end, .. })) => {
                let (_, reason) = Progress::after(Some(EventId::Record(next - 1)), start, end);
                text::restart(&mut self.pending, &reason.unwrap_or_default());
                let below = self.view.serving().map_or(end, |serving| serving.rows_next);
                self.progress = Some(Progress::snapshot(below));
            }
            // Deleted, with its topic. A client that comes back hears of it.
            Err(ReadingError::Read(ReadError::Closed) | ReadingError::Ending) => {}
            Err(error) => {
                let message = format!("{}: {error}", self.view.name());
                tracing::warn!("stream of {message}");
                let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message);
                text::error(&mut self.pending, &problem);
            }
        }
    }

    /// Waits for `change`, or until it is time to give a sign of life or to end.
    async fn wait(&mut self, change: impl Future<Output = ()>) {
        let mut stopping = self.broker.stopping();
        tokio::select! {
            changed = timeout(KEEP_ALIVE, change) => if changed.is_err() {
                self.pending = text::KEEP_ALIVE.into();
            },
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }
}
