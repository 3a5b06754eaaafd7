//! `klamm serve`: opens the broker, listens, and stops cleanly on SIGTERM or SIGINT.
//!
//! Order of starting: log, signals, HTTP, logs on disk, listener. Stopping is the reverse, so that
//! HTTP tells what goes on to the last.
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use config::Settings;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::broker::Broker;
use crate::process::{self, Signals};
use crate::{http, log_output, net};

/// More workers than this do not make one node's log faster, and each has memory of its own.
const WORKERS: usize = 16;
/// Threads for what may block: cold reads, mostly.
const BLOCKING_THREADS: usize = 32;
/// How long what still runs is waited for after everything is closed.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Serves until a signal says stop.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    log_output::start(&settings.log_level)?;
    process::raise_open_files_limit();
    let workers = available_parallelism().map_or(2, |cores| cores.get().min(WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("klamm-worker")
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(LEFTOVERS);
    served
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let serving = http::Serving::default();
    let http = Http::start(&settings, &serving).await?;
    let listen = settings.listen.clone();
    let opening = spawn_blocking(move || Broker::open(settings));
    let broker = tokio::select! {
        broker = opening => broker??,
        signal = signals.stop() => anyhow::bail!("{signal} before the logs were recovered"),
    };
    let close = {
        let broker = Arc::clone(&broker);
        move || broker.close()
    };
    let listener = match bind(&listen).await {
        Ok(listener) => listener,
        Err(error) => {
            // Else the next start would take this for a crash and check the logs.
            spawn_blocking(close).await??;
            return Err(error);
        }
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    broker.projector.start()?;
    let clients = tokio::spawn(net::serve(listener, Arc::clone(&broker), broker.stopping()));
    let groups = tokio::spawn(Arc::clone(&broker.groups).run(broker.stopping()));
    let transactions = tokio::spawn(Arc::clone(&broker.transactions).run(broker.stopping()));
    let _ = serving.set(Arc::clone(&broker));

    let signal = signals.stop().await;
    tracing::info!("{signal}: stopping");
    broker.stop();
    groups.await?;
    transactions.await?;
    clients.await?;
    spawn_blocking(close).await??;
    if let Some(http) = http {
        http.stop().await?;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// The HTTP listener while it runs.
struct Http {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Http {
    async fn start(settings: &Settings, serving: &http::Serving) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.http.as_deref() else {
            return Ok(None);
        };
        let listener = bind(address).await?;
        tracing::info!(address = %listener.local_addr()?, "answering HTTP");
        let stop = watch::Sender::new(false);
        let patience = Duration::from_millis(settings.http_write_timeout_ms.unsigned_abs());
        let running = http::serve(listener, Arc::clone(serving), patience, stop.subscribe());
        Ok(Some(Self {
            running: tokio::spawn(running),
            stop,
        }))
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        Ok(self.running.await?)
    }
}
