//! The process's own log, on standard error.
use anyhow::Context;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log at `level`: a level, or `target=level` with commas between.
pub fn start(level: &str) -> anyhow::Result<()> {
    let targets: Targets = level.parse().with_context(|| {
        format!(
            "log_level is {level:?}; it must be one of error, warn, info, debug, trace, off, or \
             target=level with commas between"
        )
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init()
        .context("the log was started twice")
}
