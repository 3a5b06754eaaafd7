//! The command line: one file per command.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod args;
mod connect;
mod consume;
mod exit;
mod group;
mod http;
mod json;
mod log;
mod produce;
mod projection;
mod sample;
mod serve;
mod table;
mod topic;
mod transaction;

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
    /// Makes, lists, describes, alters and deletes topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Sends lines of standard input to a topic.
    Produce(produce::ProduceArgs),
    /// Prints the records of a topic.
    Consume(consume::ConsumeArgs),
    /// Lists, describes, resets and deletes consumer groups.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Lists and describes transactions, and aborts one that hangs.
    #[command(subcommand)]
    Transaction(transaction::TransactionCommand),
    /// Looks at views, rebuilds them, and redrives what they rejected; over HTTP.
    #[command(subcommand)]
    Projection(projection::ProjectionCommand),
    /// Looks into the files of a log, with or without a broker.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Makes sample events: the same seed gives the same bytes.
    Sample(sample::SampleArgs),
}

/// Reads the arguments of the process, does what they say, and answers its exit code.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Topic(command) => connect::block_on(topic::run(command)),
        Command::Produce(args) => connect::block_on(produce::run(args)),
        Command::Consume(args) => connect::block_on(consume::run(args)),
        Command::Group(command) => connect::block_on(group::run(command)),
        Command::Transaction(command) => connect::block_on(transaction::run(command)),
        Command::Projection(command) => connect::block_on(projection::run(command)),
        Command::Log(command) => log::run(command),
        Command::Sample(args) => connect::block_on(sample::run(args)),
    };
    exit::code(done)
}
