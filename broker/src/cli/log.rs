//! `klamm log`: looks into the files of a log without a broker.
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

mod check;
mod dump;
mod entries;
mod segment;

/// What to do with files.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Prints what is in a .log, .index, .timeindex, .txnindex or .snapshot file.
    Dump {
        /// The file.
        file: PathBuf,
        /// Prints the records of a .log too.
        #[arg(long, short)]
        records: bool,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Reads every batch and index of a partition's directory, or of all partitions of a data
    /// directory. Ends with exit code 1 when anything is damaged.
    Check {
        /// The directory. No broker should be writing to it.
        directory: PathBuf,
        /// One JSON object per partition.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub(super) fn run(command: LogCommand) -> Result<()> {
    match command {
        LogCommand::Dump {
            file,
            records,
            json,
        } => dump::run(&file, records, json),
        LogCommand::Check { directory, json } => check::run(&directory, json),
    }
}
