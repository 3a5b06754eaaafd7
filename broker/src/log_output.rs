//! The process's own log, on standard error.
use config::ConfigError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log at `level`: a level, or `target=level` with commas between. A log that was
/// started before stays as it is.
pub fn start(level: &str) -> Result<(), ConfigError> {
    let targets: Targets = level.parse().map_err(|error| {
        ConfigError::Conflict(format!(
            "log_level = {level:?}: {error}; it is one of error, warn, info, debug, trace, off, \
             or target=level with commas between"
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init();
    Ok(())
}
