//! The command line: one file per command.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod exit;
mod serve;

/// A self-hosted log broker that speaks the Kafka protocol.
#[derive(Debug, Parser)]
#[command(name = "klamm", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the broker.
    Serve(serve::ServeArgs),
}

/// Reads the arguments of the process, does what they say, and answers its exit code.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
    };
    exit::code(done)
}
