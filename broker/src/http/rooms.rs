//! What handlers work with, and how they find a view.
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use axum::http::{HeaderName, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::Serving;
use super::position::{self, Least};
use super::problem::Problem;
use crate::broker::Broker;
use crate::projector::{self, Handle};

/// Requests that may wait at once, for a position or an order: fewer than there are connections,
/// so that there is always one left for a health check.
const WAITS: usize = 32;

/// What handlers work with.
#[derive(Clone)]
pub(super) struct Rooms {
    serving: Serving,
    waits: Arc<Semaphore>,
}

impl FromRef<Rooms> for Serving {
    fn from_ref(rooms: &Rooms) -> Self {
        Arc::clone(&rooms.serving)
    }
}

impl Rooms {
    /// Everything that handlers need.
    pub(super) fn new(serving: Serving) -> Self {
        Self {
            serving,
            waits: Arc::new(Semaphore::new(WAITS)),
        }
    }

    /// The broker, once it is there.
    pub(super) fn broker(&self) -> Result<&Arc<Broker>, Problem> {
        let broker = self.serving.get();
        broker.ok_or_else(|| Problem::unavailable("recovering the logs"))
    }

    /// The view of this name.
    pub(super) fn view(&self, name: &str) -> Result<&Arc<Handle>, Problem> {
        let view = self.broker()?.projector.get(name);
        view.ok_or_else(|| Problem::missing(format!("there is no view {name}")))
    }

    /// A place among those who wait.
    pub(super) fn wait(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let place = self.waits.try_acquire();
        place.map_err(|_| Problem::unavailable(format!("{WAITS} requests wait already")))
    }

    /// What readers of a view see, at `least` or later.
    pub(super) async fn at_least(
        &self,
        view: &Handle,
        least: &Least,
        patience: Duration,
    ) -> Result<projector::Serving, Problem> {
        let reached = || {
            let serving = view.serving();
            serving.filter(|serving| least.is_reached_at(&serving.position))
        };
        // Before the first look: a commit in between is not missed.
        let mut commits = view.commits();
        let mut stopping = self.broker()?.stopping();
        if let Some(serving) = reached() {
            return Ok(serving);
        }
        let _place = self.wait()?;
        let deadline = Instant::now() + patience;
        loop {
            let moved = tokio::select! {
                moved = timeout_at(deadline, commits.changed()) => moved,
                _ = stopping.wait_for(|stop| *stop) => return Err(Problem::unavailable("stopping")),
            };
            if let Some(serving) = reached() {
                return Ok(serving);
            }
            match moved {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Problem::unavailable("the view has ended")),
                Err(_) => return Err(not_in_time(view)),
            }
        }
    }
}

fn not_in_time(view: &Handle) -> Problem {
    let description = view.describe();
    let position = view
        .serving()
        .map(|serving| position::text(&serving.position));
    let message = format!(
        "{} is {} at {}",
        description.name,
        description.state,
        position.as_deref().unwrap_or("no position yet")
    );
    Problem::new(StatusCode::GATEWAY_TIMEOUT, message)
}

/// What readers of a view see now.
pub(super) fn now(view: &Handle) -> Result<projector::Serving, Problem> {
    view.serving().ok_or_else(|| {
        let name = view.name();
        if view.describe().generation == 0 {
            Problem::missing(format!("view {name} has no first commit yet"))
        } else {
            Problem::unavailable(format!("view {name} is being read back"))
        }
    })
}

/// Where a view stands, for the head of every answer about its rows.
pub(super) fn headers(serving: &projector::Serving) -> [(HeaderName, String); 3] {
    let name = HeaderName::from_static;
    [
        (name("klamm-position"), position::text(&serving.position)),
        (name("klamm-generation"), serving.generation.to_string()),
        (name("klamm-lag"), serving.lag.to_string()),
    ]
}
