//! What the process ends with, for scripts.
use std::io::ErrorKind;
use std::process::ExitCode;

use client::ClientError;
use config::ConfigError;

use super::http::HttpError;

/// The exit codes as the help tells them.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  the broker refused, or what was checked is damaged
  2  wrong usage or settings
  3  the broker cannot be reached";

/// Arguments that are well formed but do not make sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The exit code for a result; an error is told on standard error.
pub(super) fn code(done: anyhow::Result<()>) -> ExitCode {
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    // Whoever reads the output has seen enough: `klamm consume | head`.
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("klamm: {}", told(&error));
    let unreachable = error
        .downcast_ref::<ClientError>()
        .is_some_and(ClientError::is_unreachable)
        || error
            .downcast_ref::<HttpError>()
            .is_some_and(HttpError::is_unreachable);
    ExitCode::from(if error.is::<ConfigError>() || error.is::<Usage>() {
        2
    } else if unreachable {
        3
    } else {
        1
    })
}

/// The error with its causes, but for those that it tells itself.
fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(|told, cause| {
            if told.ends_with(&cause) {
                told
            } else {
                format!("{told}: {cause}")
            }
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::from(ErrorKind::NotFound);
        let expected = format!("settings: open f: {cause}");
        let error = anyhow::Error::new(cause).context(expected.clone());
        assert_eq!(told(&error), expected);
        assert_eq!(told(&error.context("start")), format!("start: {expected}"));
    }
}
