//! `klamm sample`: prints sample events, or sends them to a topic.
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use client::sample::{Sample, SampleOptions, Samples};
use client::{Outgoing, Producer, ProducerOptions};

use super::args::{now_ms, percent, separator};
use super::connect::Bootstrap;
use super::produce::Codec;

/// What to make.
#[derive(Debug, clap::Args)]
pub(super) struct SampleArgs {
    /// How many.
    #[arg(long, short, value_name = "N", default_value_t = 10)]
    count: u64,
    /// The same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Users that the events are about.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    users: u32,
    /// Per cent of events that repeat an earlier one.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    duplicates: f64,
    /// Per cent of events whose time lies hours behind the others.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    late: f64,
    /// Per cent of lines that are no events.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    malformed: f64,
    /// Event time of the first event, epoch milliseconds.
    #[arg(long, value_name = "MS", default_value_t = SampleOptions::default().start_ms)]
    start: i64,
    /// Mean event time between two events, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    interval_ms: u32,
    /// Events per second; as fast as can be if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// What stands between key and value in a line; with an empty text lines are values.
    #[arg(long, short = 'k', value_name = "TEXT", default_value = r"\t", value_parser = separator)]
    key_separator: String,
    /// Sends to this topic instead of printing; the time of sending is the records' timestamp.
    #[arg(long, short, value_name = "TOPIC")]
    topic: Option<String>,
    /// Codec of the batches that are sent.
    #[arg(long, short = 'z', value_enum, default_value = "none")]
    compression: Codec,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Makes them.
pub(super) async fn run(args: SampleArgs) -> Result<()> {
    let samples = Samples::new(SampleOptions {
        seed: args.seed,
        users: args.users,
        duplicates_percent: args.duplicates,
        late_percent: args.late,
        malformed_percent: args.malformed,
        start_ms: args.start,
        interval_ms: args.interval_ms,
    });
    let samples = samples.take(usize::try_from(args.count).unwrap_or(usize::MAX));
    match &args.topic {
        Some(topic) => send(&args, topic, samples).await,
        None => print(&args, samples).await,
    }
}

async fn print(args: &SampleArgs, samples: impl Iterator<Item = Sample>) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout());
    let mut pace = Pace::new(args.rate);
    for sample in samples {
        if !args.key_separator.is_empty() {
            out.write_all(sample.key.as_bytes())?;
            out.write_all(args.key_separator.as_bytes())?;
        }
        out.write_all(&sample.value)?;
        out.write_all(b"\n")?;
        if pace.is_ahead() {
            out.flush()?;
            pace.wait().await;
        }
    }
    Ok(out.flush()?)
}

async fn send(args: &SampleArgs, topic: &str, samples: impl Iterator<Item = Sample>) -> Result<()> {
    let options = ProducerOptions {
        compression: args.compression.into(),
        timeout: args.bootstrap.timeout(),
        ..ProducerOptions::default()
    };
    let mut producer = Producer::open(args.bootstrap.open().await?, topic, options).await?;
    let mut pace = Pace::new(args.rate);
    for sample in samples {
        let record = Outgoing {
            key: Some(sample.key.into_bytes()),
            value: Some(sample.value),
            timestamp_ms: now_ms(),
            ..Outgoing::default()
        };
        producer.send(&record).await?;
        if pace.is_ahead() {
            producer.flush().await?;
            pace.wait().await;
        }
    }
    producer.flush().await?;
    Ok(())
}

/// Keeps a rate on average, however long single sends take.
struct Pace {
    since: tokio::time::Instant,
    rate: Option<u32>,
    made: u64,
}

impl Pace {
    fn new(rate: Option<u32>) -> Pace {
        Pace {
            since: tokio::time::Instant::now(),
            rate,
            made: 0,
        }
    }

    /// Counts one; whether the next is not due yet.
    fn is_ahead(&mut self) -> bool {
        self.made += 1;
        self.due()
            .is_some_and(|due| due > tokio::time::Instant::now())
    }

    async fn wait(&self) {
        if let Some(due) = self.due() {
            tokio::time::sleep_until(due).await;
        }
    }

    fn due(&self) -> Option<tokio::time::Instant> {
        let rate = f64::from(self.rate?);
        Some(self.since + Duration::from_secs_f64(self.made as f64 / rate))
    }
}
