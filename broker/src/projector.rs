//! Projections at work: views that the broker itself keeps up to date from topics.
//!
//! Each view has a thread of its own, which reads its source, steps its engine and commits. Whoever
//! wants something of a view talks to its [`Handle`]: what stands is read from there without waiting,
//! orders go to the thread and are answered when they are done.
mod batches;
mod build;
mod commits;
mod crash;
mod definitions;
mod describe;
mod generation;
mod handle;
mod letters;
mod mirror;
mod order;
mod orders;
mod output;
mod publish;
mod recovery;
mod redrive;
mod runner;
mod scan;
mod serving;
mod settled;
mod shown;
mod sink;
mod source;
mod stats;
mod storm;
mod wanted;

pub use describe::{Building, Description, Lag, State};
pub use handle::{Handle, Serving};
pub use order::{Done, Order, OrderError, Redriven, Selection};
pub use stats::Stats;
pub use wanted::{Wanted, WantedError, wanted};

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::Settings;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::coordinator::Groups;
use crate::metadata::Topics;
use crate::partition::Bell;
use commits::Commits;
use definitions::Definitions;
use recovery::Recovered;
use runner::{Room, Runner};
use shown::Shown;

/// All views.
#[derive(Default)]
pub struct Projector {
    views: Vec<Arc<Handle>>,
    bells: Vec<Arc<Bell>>,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    waiting: Vec<Runner>,
    /// Ends when the last thread has.
    running: Option<Receiver<()>>,
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector")
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}

impl Projector {
    /// Brings the topics of all views back to their last commits, those of views that are off
    /// included, and makes ready the views that are wanted.
    pub fn open(
        wanted: Vec<Wanted>,
        settings: &Arc<Settings>,
        topics: &Arc<Topics>,
        groups: &Arc<Groups>,
        stopping: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let durable = settings.flush == config::FlushPolicy::Commit;
        let room = Arc::new(Room {
            settings: Arc::clone(settings),
            topics: Arc::clone(topics),
            groups: Arc::clone(groups),
            commits: Commits::new(Arc::clone(topics), durable),
            definitions: Definitions::new(Arc::clone(topics), durable),
            stopping,
        });
        let loaded = room
            .commits
            .load()
            .and_then(|commits| Ok((commits, room.definitions.load()?)));
        // Views stand still then, and nothing of theirs is cut; everybody else is served.
        let unreadable = loaded.as_ref().err().map(|error| {
            error!(%error, "the logs that tell how far views are cannot be read");
            format!("the logs that tell how far it is cannot be read: {error}")
        });
        let (mut commits, mut definitions) = loaded.unwrap_or_default();
        let asked = wanted.iter().map(|wanted| wanted.view.name.to_owned());
        let known = commits.keys().chain(definitions.keys()).cloned();
        let all = topics.all();
        let owners = all.iter().filter_map(|topic| topic.owner());
        let owners = owners.map(str::to_owned);
        let names: BTreeSet<String> = known.chain(asked).chain(owners).collect();
        let recover = |name: String| {
            let recovered = if unreadable.is_some() {
                Recovered {
                    unreadable: unreadable.clone(),
                    ..Recovered::default()
                }
            } else {
                let commits = commits.remove(&name).unwrap_or_default();
                recovery::recover(topics, &name, commits)
            };
            (name, recovered)
        };
        let mut recovered: std::collections::BTreeMap<_, _> =
            names.into_iter().map(recover).collect();
        let mut projector = Self::default();
        for wanted in wanted {
            let name = wanted.view.name;
            let recovered = recovered.remove(name).unwrap_or_default();
            let definition = definitions.remove(name).unwrap_or_default();
            projector.add(&room, wanted, definition, recovered);
        }
        for (view, recovered) in recovered {
            if recovered.commit.is_some() {
                info!(
                    view,
                    "a view is not kept up to date: the settings do not name it"
                );
            }
        }
        Ok(projector)
    }

    fn add(
        &mut self,
        room: &Arc<Room>,
        wanted: Wanted,
        definition: definitions::Definition,
        recovered: Recovered,
    ) {
        let view = wanted.view;
        info!(
            view = view.name,
            source = wanted.options.source,
            "a view is kept up to date; the setting `projections` turns it off (\"\" for all) or \
             makes it from another topic ({}:TOPIC)",
            view.name
        );
        let shown = Shown {
            name: view.name,
            about: view.about,
            source: wanted.options.source.as_str().into(),
            since: Some(std::time::Instant::now()),
            ..Shown::default()
        };
        let (orders, received) = mpsc::sync_channel(handle::ORDERS);
        let bell = Arc::new(Bell::default());
        let handle = Handle::new(view.name, shown, orders, Arc::clone(&bell));
        let handle = Arc::new(handle);
        let ends = (Arc::clone(&handle), Arc::clone(&bell), received);
        let runner = Runner::new(Arc::clone(room), wanted, ends, definition, recovered);
        self.views.push(handle);
        self.bells.push(bell);
        self.threads().waiting.push(runner);
    }

    /// Starts the threads.
    pub fn start(&self) -> std::io::Result<()> {
        let mut threads = self.threads();
        let (alive, running) = mpsc::channel();
        for runner in std::mem::take(&mut threads.waiting) {
            spawn(runner, alive.clone())?;
        }
        threads.running = Some(running);
        Ok(())
    }

    /// Waits until all threads have ended, which they do when the broker stops; blocks, `timeout` at
    /// most.
    pub fn join(&self, timeout: Duration) {
        for bell in &self.bells {
            bell.ring();
        }
        let running = {
            let mut threads = self.threads();
            threads.waiting.clear();
            threads.running.take()
        };
        if let Some(running) = running
            && running.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout)
        {
            warn!("a view is still at work: what it has not committed is taken back at the start");
        }
    }

    /// All views, in the order of their names.
    pub fn all(&self) -> &[Arc<Handle>] {
        &self.views
    }

    /// The view of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Handle>> {
        self.views.iter().find(|view| view.name() == name)
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(runner: Runner, alive: Sender<()>) -> std::io::Result<()> {
    let name = format!("view-{}", runner.name());
    std::thread::Builder::new().name(name).spawn(move || {
        runner.run();
        drop(alive);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
