//! `klamm consume`: prints the records of a topic, alone or as a member of a group.
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use client::{
    At, ClientError, Connection, Fetcher, GroupMember, Incoming, Isolation, MemberOptions,
    TopicPartition,
};
use serde_json::{Map, Value, json};

use super::args::separator;
use super::connect::Bootstrap;
use super::exit::Usage;
use super::json;

/// Longest wait of a fetch: how soon a rebalance is seen.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Time between commits.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Time between attempts to reach a broker that is away.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What to print.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct ConsumeArgs {
    /// Name of the topic.
    topic: String,
    /// Starts at the first record. This is the default, save with --follow, which starts at the end.
    #[arg(long, conflicts_with_all = ["offset", "timestamp"])]
    from_beginning: bool,
    /// Starts at this offset in each partition; a negative one counts from the end.
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        conflicts_with = "timestamp"
    )]
    offset: Option<i64>,
    /// Starts at the first record of this time or later, epoch milliseconds.
    #[arg(long, value_name = "MS")]
    timestamp: Option<i64>,
    /// Reads this partition only; may be given many times.
    #[arg(long = "partition", short, value_name = "N", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Joins this group, starts where the group stopped, and commits what was printed.
    #[arg(long, short, value_name = "NAME")]
    group: Option<String>,
    /// Stops after this many records.
    #[arg(long, short, value_name = "N")]
    count: Option<u64>,
    /// Waits for more at the end instead of stopping there.
    #[arg(long, short)]
    follow: bool,
    /// Prints one JSON object per record, with its coordinates.
    #[arg(long)]
    json: bool,
    /// Prints the key and this text before the value.
    #[arg(long, short = 'k', value_name = "TEXT", value_parser = separator, conflicts_with = "json")]
    key_separator: Option<String>,
    /// What to print for a null key or value.
    #[arg(long, value_name = "TEXT", default_value = "")]
    null_value: String,
    /// Leaves out records of open and aborted transactions.
    #[arg(long)]
    read_committed: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Prints until the end, the count, or an interrupt.
pub(super) async fn run(args: ConsumeArgs) -> Result<()> {
    let mut consumer = Consumer::open(args).await?;
    let outcome = tokio::select! {
        outcome = consumer.consume() => outcome,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into),
    };
    // What was printed is committed whatever ended the printing.
    consumer.close().await?;
    outcome
}

struct Consumer {
    args: ConsumeArgs,
    connection: Connection,
    fetcher: Fetcher,
    member: Option<GroupMember>,
    /// The assignment is not known, or not any more.
    must_join: bool,
    /// Where to stop, per partition; empty when following.
    ends: BTreeMap<TopicPartition, i64>,
    /// The offset after the last printed record, per partition.
    printed: BTreeMap<TopicPartition, i64>,
    commit_due: Instant,
    left: u64,
    out: BufWriter<std::io::Stdout>,
}

impl Consumer {
    async fn open(args: ConsumeArgs) -> Result<Consumer> {
        let mut connection = args.bootstrap.open().await?;
        let isolation = if args.read_committed {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        };
        let fetcher = Fetcher::new(connection.another().await?, isolation, BTreeMap::new());
        // Who follows may come before the first producer; else a topic that is not there is an error.
        let topic = connection.topic(&args.topic, args.follow).await?;
        let member = match &args.group {
            None => None,
            Some(group) => {
                let topics = vec![args.topic.clone()];
                let own = connection.another().await?;
                Some(GroupMember::new(own, group, topics, MemberOptions::default()).await?)
            }
        };
        let left = args.count.unwrap_or(u64::MAX);
        let out = BufWriter::with_capacity(1 << 16, std::io::stdout());
        let mut consumer = Consumer {
            args,
            connection,
            fetcher,
            must_join: member.is_some(),
            member,
            ends: BTreeMap::new(),
            printed: BTreeMap::new(),
            commit_due: Instant::now() + COMMIT_INTERVAL,
            left,
            out,
        };
        if consumer.member.is_some() {
            consumer.join().await?;
        } else {
            let all = topic.partitions.iter().map(|partition| partition.index);
            let wanted = consumer.args.partitions.clone();
            let chosen: Vec<i32> = all
                .filter(|index| wanted.is_empty() || wanted.contains(index))
                .collect();
            if chosen.is_empty() || wanted.iter().any(|index| !chosen.contains(index)) {
                let count = topic.partitions.len();
                return Err(Usage(format!("{} has {count} partitions", topic.name)).into());
            }
            consumer.start_at(&chosen, &BTreeMap::new()).await?;
        }
        Ok(consumer)
    }

    async fn consume(&mut self) -> Result<()> {
        loop {
            self.drop_finished();
            let finished = !self.args.follow && self.fetcher.positions().is_empty();
            if self.left == 0 || finished {
                return Ok(());
            }
            match self.step().await {
                // Who follows outlives a restart of the broker.
                Err(error) if self.args.follow && is_unreachable(&error) => {
                    eprintln!("klamm: {error:#}; trying again");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                done => done?,
            }
        }
    }

    /// Fetches once and prints what came.
    async fn step(&mut self) -> Result<()> {
        self.keep_membership().await?;
        if self.fetcher.positions().is_empty() {
            // A member without partitions waits for the next rebalance.
            tokio::time::sleep(MAX_WAIT).await;
            return Ok(());
        }
        for record in self.fetcher.poll(MAX_WAIT).await? {
            if self.left == 0 {
                break;
            }
            self.take(&record)?;
        }
        Ok(self.out.flush()?)
    }

    /// Prints a record unless it lies behind the end.
    fn take(&mut self, record: &Incoming) -> Result<()> {
        let place = (record.topic.clone(), record.partition);
        if self
            .ends
            .get(&place)
            .is_some_and(|end| record.offset >= *end)
        {
            return Ok(());
        }
        self.print(record)?;
        self.printed.insert(place, record.offset + 1);
        self.left -= 1;
        Ok(())
    }

    fn drop_finished(&mut self) {
        for (partition, end) in &self.ends {
            let position = self.fetcher.positions().get(partition);
            if position.is_some_and(|position| position >= end) {
                self.fetcher.drop_partition(partition);
            }
        }
    }

    async fn keep_membership(&mut self) -> Result<()> {
        let Some(member) = &mut self.member else {
            return Ok(());
        };
        self.must_join |= !member.heartbeat().await?;
        let commit = self.must_join || Instant::now() >= self.commit_due;
        if commit && !self.printed.is_empty() {
            match member.commit(&self.printed).await {
                Ok(()) => {}
                // Too late: the records come again, to whoever reads them next.
                Err(ClientError::Refused { .. }) => self.must_join = true,
                Err(error) => return Err(error.into()),
            }
            self.commit_due = Instant::now() + COMMIT_INTERVAL;
        }
        if self.must_join {
            self.join().await
        } else {
            Ok(())
        }
    }

    async fn join(&mut self) -> Result<()> {
        let Some(member) = &mut self.member else {
            return Ok(());
        };
        let assignment = member.join().await?;
        let committed = member.committed(&assignment).await?;
        self.printed.clear();
        let partitions: Vec<i32> = assignment.iter().map(|(_, partition)| *partition).collect();
        self.start_at(&partitions, &committed).await?;
        self.must_join = false;
        Ok(())
    }

    /// Starts at `committed` where there is one that the partition still has, else where the arguments
    /// say.
    async fn start_at(
        &mut self,
        partitions: &[i32],
        committed: &BTreeMap<TopicPartition, i64>,
    ) -> Result<()> {
        let isolation = if self.args.read_committed {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        };
        let topic = self.args.topic.clone();
        let mut offsets = async |at| {
            self.connection
                .offsets_at(&topic, partitions, at, isolation)
                .await
        };
        let first = offsets(At::Earliest).await?;
        let last = offsets(At::Latest).await?;
        let has = |partition: &TopicPartition, offset: i64| {
            let (first, last) = (first.get(partition), last.get(partition));
            first.is_some_and(|first| *first <= offset) && last.is_some_and(|last| offset <= *last)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = committed
            .iter()
            .map(|(partition, offset)| (partition.clone(), *offset))
            .partition(|(partition, offset)| has(partition, *offset));
        for ((topic, partition), offset) in gone {
            eprintln!(
                "klamm: {topic}-{partition} has no offset {offset}, which the group committed"
            );
        }
        let mut positions = match (self.args.offset, self.args.timestamp) {
            (_, Some(epoch_ms)) => offsets(At::Time(epoch_ms)).await?,
            (Some(offset), _) => last
                .iter()
                .map(|(partition, end)| {
                    let wanted = if offset < 0 { end + offset } else { offset };
                    (
                        partition.clone(),
                        wanted.clamp(first[partition].min(*end), *end),
                    )
                })
                .collect(),
            (None, None) if self.args.from_beginning || !self.args.follow => first,
            (None, None) => last.clone(),
        };
        positions.extend(kept);
        self.ends = if self.args.follow {
            BTreeMap::new()
        } else {
            last
        };
        self.fetcher.seek(positions);
        Ok(())
    }

    fn print(&mut self, record: &Incoming) -> std::io::Result<()> {
        let out = &mut self.out;
        if self.args.json {
            return writeln!(out, "{}", object(record));
        }
        let null = self.args.null_value.as_bytes();
        if let Some(separator) = &self.args.key_separator {
            out.write_all(record.key.as_deref().unwrap_or(null))?;
            out.write_all(separator.as_bytes())?;
        }
        out.write_all(record.value.as_deref().unwrap_or(null))?;
        out.write_all(b"\n")
    }

    async fn close(mut self) -> Result<()> {
        let flushed = self.out.flush();
        let Some(mut member) = self.member else {
            return Ok(flushed?);
        };
        let committed = if flushed.is_ok() && !self.printed.is_empty() {
            member.commit(&self.printed).await
        } else {
            Ok(())
        };
        // Whatever went wrong, the next member should not have to wait for the session to time out.
        let left = member.leave().await;
        flushed?;
        committed?;
        Ok(left?)
    }
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<ClientError>()
        .is_some_and(ClientError::is_unreachable)
}

/// A record with its coordinates.
fn object(record: &Incoming) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), record.topic.as_str().into());
    object.insert("partition".to_owned(), record.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp_ms.into());
    json::put(&mut object, "key", record.key.as_deref());
    json::put(&mut object, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|(key, value)| {
        let mut header = Map::new();
        json::put(&mut header, "key", Some(key));
        json::put(&mut header, "value", value.as_deref());
        Value::Object(header)
    });
    object.insert("headers".to_owned(), json!(headers.collect::<Vec<_>>()));
    Value::Object(object)
}
