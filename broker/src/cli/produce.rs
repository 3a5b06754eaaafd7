//! `klamm produce`: sends lines of standard input to a topic, each as one record.
use std::io::{BufRead, BufReader, Write};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use client::{Acks, Delivery, Outgoing, Producer, ProducerOptions};
use protocol::record::Compression;
use serde_json::json;
use tokio::sync::mpsc;

use super::args::{now_ms, pair, separator};
use super::connect::Bootstrap;
use super::exit::Usage;

/// Most lines that are read before they are handed over.
const CHUNK_LINES: usize = 1000;

/// What to send and how.
#[derive(Debug, clap::Args)]
pub(super) struct ProduceArgs {
    /// Name of the topic; made if the broker makes topics by itself.
    topic: String,
    /// What stands between key and value in a line; without it lines are values.
    #[arg(long, short = 'k', value_name = "TEXT", value_parser = separator)]
    key_separator: Option<String>,
    /// A header of every record; may be given many times.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// Partition; without it the hash of the key decides, as in Kafka's own producer.
    #[arg(long, short, value_name = "N")]
    partition: Option<i32>,
    /// Codec of the batches.
    #[arg(long, short = 'z', value_enum, default_value = "none")]
    compression: Codec,
    /// When a record counts as delivered: never, in the broker's memory, or on its disk.
    #[arg(long, value_enum, default_value = "all")]
    acks: AcksWord,
    /// A value that stands for null: such a record deletes its key from a compacted topic.
    #[arg(long, value_name = "TEXT")]
    null_value: Option<String>,
    /// Timestamp of every record, epoch milliseconds; without it the time when the line was read.
    #[arg(long, value_name = "MS")]
    timestamp: Option<i64>,
    /// Prints where batches went, one JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A codec by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Codec {
    /// No compression.
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AcksWord {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

/// Sends until standard input ends.
pub(super) async fn run(args: ProduceArgs) -> Result<()> {
    let options = ProducerOptions {
        acks: match args.acks {
            AcksWord::None => Acks::None,
            AcksWord::Leader => Acks::Leader,
            AcksWord::All => Acks::All,
        },
        compression: args.compression.into(),
        timeout: args.bootstrap.timeout(),
        ..ProducerOptions::default()
    };
    let connection = args.bootstrap.open().await?;
    let mut producer = Producer::open(connection, &args.topic, options).await?;
    let read = send_lines(&args, &mut producer).await;
    // What was read before an error is sent all the same.
    let sent = producer.flush().await;
    if let Ok(sent) = &sent {
        report(&args, sent)?;
    }
    read?;
    sent?;
    Ok(())
}

async fn send_lines(args: &ProduceArgs, producer: &mut Producer) -> Result<()> {
    let mut lines = read_lines();
    let mut number = 0;
    while let Some(chunk) = lines.recv().await {
        for line in chunk? {
            number += 1;
            let sent = producer.send(&record(args, number, &line)?).await?;
            report(args, &sent)?;
        }
        // Nothing more to read for now: what is gathered should not wait for it.
        if lines.is_empty() {
            let sent = producer.flush().await?;
            report(args, &sent)?;
        }
    }
    Ok(())
}

fn record(args: &ProduceArgs, number: u64, line: &[u8]) -> Result<Outgoing> {
    let (key, value) = match &args.key_separator {
        None => (None, line),
        Some(separator) => {
            let (key, value) = split(line, separator.as_bytes()).ok_or_else(|| {
                let line = String::from_utf8_lossy(line);
                Usage(format!(
                    "no key separator {separator:?} in line {number}: {line:?}"
                ))
            })?;
            (Some(key.to_vec()), value)
        }
    };
    let null = args
        .null_value
        .as_ref()
        .is_some_and(|null| null.as_bytes() == value);
    Ok(Outgoing {
        partition: args.partition,
        key,
        value: (!null).then(|| value.to_vec()),
        headers: args
            .headers
            .iter()
            .map(|(k, v)| (k.clone(), v.clone().into_bytes()))
            .collect(),
        timestamp_ms: args.timestamp.unwrap_or_else(now_ms),
    })
}

fn split<'a>(line: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if separator.is_empty() {
        return None;
    }
    let at = line
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((&line[..at], &line[at + separator.len()..]))
}

fn report(args: &ProduceArgs, sent: &[Delivery]) -> Result<()> {
    if args.json {
        let out = &mut std::io::stdout().lock();
        for delivery in sent {
            let line = json!({
                "topic": args.topic,
                "partition": delivery.partition,
                "base_offset": delivery.base_offset,
                "records": delivery.records,
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Lines of standard input, as many at a time as are there.
fn read_lines() -> mpsc::Receiver<Result<Vec<Vec<u8>>>> {
    let (lines, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(1 << 18, std::io::stdin().lock());
        loop {
            match read_chunk(&mut input) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    if lines.blocking_send(Ok(chunk)).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    let _ = lines.blocking_send(Err(anyhow!(error).context("standard input")));
                    break;
                }
            }
        }
    });
    receiver
}

fn read_chunk<R: std::io::Read>(input: &mut BufReader<R>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut chunk = Vec::new();
    while chunk.is_empty() || (chunk.len() < CHUNK_LINES && !input.buffer().is_empty()) {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        chunk.push(line);
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_in_order() {
        let mut input = BufReader::with_capacity(4, &b"a\n\nlonger than the buffer\nend"[..]);
        let mut lines = Vec::new();
        loop {
            let chunk = read_chunk(&mut input).unwrap();
            if chunk.is_empty() {
                break;
            }
            lines.extend(chunk);
        }
        assert_eq!(lines, [&b"a"[..], b"", b"longer than the buffer", b"end"]);
    }

    #[test]
    fn a_line_splits_at_the_first_separator() {
        assert_eq!(split(b"k::v::w", b"::"), Some((&b"k"[..], &b"v::w"[..])));
        assert_eq!(split(b"kv", b"::"), None);
        assert_eq!(split(b"::", b"::"), Some((&b""[..], &b""[..])));
    }
}
