//! How the commands reach a broker.
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use client::{ClientError, Connection, Options};

/// Which broker to talk to.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Bootstrap {
    /// Address of the broker, HOST:PORT.
    #[arg(
        short = 'b',
        long = "bootstrap",
        env = "KLAMM_BOOTSTRAP",
        default_value = "127.0.0.1:9092",
        value_name = "ADDRESS"
    )]
    address: String,
    /// How long to wait for an answer, in milliseconds.
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    timeout_ms: u64,
}

impl Bootstrap {
    /// A connection to the broker.
    pub(super) async fn open(&self) -> Result<Connection, ClientError> {
        Connection::open(
            &self.address,
            Options {
                timeout: self.timeout(),
                ..Options::default()
            },
        )
        .await
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// Runs a command to its end on this thread.
pub(super) fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(command);
    // A thread that waits for a line of standard input cannot be called back.
    runtime.shutdown_background();
    done
}
