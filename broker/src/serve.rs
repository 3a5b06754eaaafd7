//! `klamm serve`: opens the broker, listens, and stops cleanly on SIGTERM or SIGINT.
use std::sync::Arc;

use anyhow::Context;
use config::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Broker;
use crate::net;

/// Serves until a signal says stop.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = settings.listen.to_string();
    let broker = Broker::open(settings)?;
    let listener = TcpListener::bind(&listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let serving = tokio::spawn(net::serve(listener, Arc::clone(&broker), broker.stopping()));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    broker.stop();
    serving.await?;
    let logs = Arc::clone(&broker.logs);
    tokio::task::spawn_blocking(move || logs.close()).await??;
    tracing::info!("stopped");
    Ok(())
}
