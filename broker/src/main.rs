//! The `klamm` binary.
use std::process::ExitCode;

fn main() -> ExitCode {
    broker::cli::run()
}
