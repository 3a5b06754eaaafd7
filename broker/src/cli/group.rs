//! `klamm group`: lists, describes, resets and deletes consumer groups.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Subcommand;
use client::{At, Connection, Isolation, TopicPartition};
use serde_json::json;

use super::connect::Bootstrap;
use super::exit::Usage;
use super::table::Table;

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Lists groups.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Shows where a group stands in each partition, how far behind, and who reads it.
    Describe {
        /// Name of the group.
        name: String,
        /// One JSON object per line: the group, then its partitions.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Moves the committed offsets of a group that has no members.
    Reset(ResetArgs),
    /// Deletes a group that has no members, with its committed offsets.
    Delete {
        /// Name of the group.
        name: String,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// What to reset, and to where.
#[derive(Debug, clap::Args)]
pub(super) struct ResetArgs {
    /// Name of the group.
    name: String,
    /// Topic; without it all topics in which the group has committed.
    #[arg(long, short, value_name = "TOPIC")]
    topic: Option<String>,
    /// Partition; may be given many times; without it all partitions.
    #[arg(long = "partition", short, value_name = "N", requires = "topic")]
    partitions: Vec<i32>,
    #[command(flatten)]
    to: Place,
    /// Shows what would be committed and commits nothing.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
#[expect(clippy::struct_field_names, reason = "the fields are the flags --to-…")]
struct Place {
    /// To the first record.
    #[arg(long)]
    to_earliest: bool,
    /// To the end.
    #[arg(long)]
    to_latest: bool,
    /// To this offset, or the nearest that the partition has.
    #[arg(long, value_name = "N")]
    to_offset: Option<i64>,
    /// To the first record of this time or later, epoch milliseconds.
    #[arg(long, value_name = "MS")]
    to_timestamp: Option<i64>,
}

/// Runs the command.
pub(super) async fn run(command: GroupCommand) -> Result<()> {
    match command {
        GroupCommand::List { json, bootstrap } => {
            let mut table = Table::new(&["group", "state", "type", "protocol_type"]);
            for group in bootstrap.open().await?.list_groups().await? {
                let cells = [group.group, group.state, group.kind, group.protocol_type];
                table.row(cells.map(Into::into).into());
            }
            Ok(table.print(json)?)
        }
        GroupCommand::Describe {
            name,
            json,
            bootstrap,
        } => describe(&mut bootstrap.open().await?, &name, json).await,
        GroupCommand::Reset(args) => reset(&args).await,
        GroupCommand::Delete { name, bootstrap } => {
            Ok(bootstrap.open().await?.delete_group(&name).await?)
        }
    }
}

async fn describe(connection: &mut Connection, name: &str, json: bool) -> Result<()> {
    let group = connection.describe_group(name).await?;
    let committed = connection.committed_offsets(name).await?;
    if group.state == "Dead" && committed.is_empty() {
        return Err(anyhow::anyhow!("there is no group {name}"));
    }
    let mut summary = Table::new(&["group", "state", "protocol", "members"]);
    summary.row(vec![
        name.into(),
        group.state.as_str().into(),
        group.protocol.as_str().into(),
        group.members.len().into(),
    ]);
    let mut readers: BTreeMap<TopicPartition, String> = BTreeMap::new();
    for member in &group.members {
        let reader = format!("{} {}", member.member, member.host);
        readers.extend(
            member
                .partitions
                .iter()
                .map(|place| (place.clone(), reader.clone())),
        );
    }
    let places: BTreeSet<&TopicPartition> = committed.keys().chain(readers.keys()).collect();
    let ends = latest(connection, places.iter().copied()).await?;
    let mut table = Table::new(&[
        "topic",
        "partition",
        "committed",
        "end_offset",
        "lag",
        "member",
    ]);
    for place in places {
        let offset = committed.get(place).map(|committed| committed.offset);
        let end = ends.get(place).copied();
        let lag = offset
            .zip(end)
            .map(|(offset, end)| end.saturating_sub(offset).max(0));
        table.row(vec![
            place.0.as_str().into(),
            place.1.into(),
            json!(offset),
            json!(end),
            json!(lag),
            json!(readers.get(place)),
        ]);
    }
    summary.print(json)?;
    if !json {
        println!();
    }
    Ok(table.print(json)?)
}

/// The end offsets of those partitions that are still there.
async fn latest(
    connection: &mut Connection,
    places: impl Iterator<Item = &TopicPartition>,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        by_topic.entry(topic).or_default().push(*partition);
    }
    let mut ends = BTreeMap::new();
    for (topic, partitions) in by_topic {
        let found = connection
            .offsets_at(topic, &partitions, At::Latest, Isolation::ReadUncommitted)
            .await;
        match found {
            Ok(found) => ends.extend(found),
            // A deleted topic has no end; its offsets stay until they expire.
            Err(error) if error.code().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ends)
}

async fn reset(args: &ResetArgs) -> Result<()> {
    let mut connection = args.bootstrap.open().await?;
    let group = connection.describe_group(&args.name).await?;
    if !group.members.is_empty() {
        let (name, count) = (&args.name, group.members.len());
        return Err(anyhow::anyhow!(
            "group {name} has {count} members: stop them first"
        ));
    }
    let before = connection.committed_offsets(&args.name).await?;
    let topics: BTreeSet<String> = match &args.topic {
        Some(topic) => BTreeSet::from([topic.clone()]),
        None => before.keys().map(|(topic, _)| topic.clone()).collect(),
    };
    if topics.is_empty() {
        let hint = format!("group {} has committed nothing: give --topic", args.name);
        return Err(Usage(hint).into());
    }
    let mut after = BTreeMap::new();
    for topic in &topics {
        let known = connection.topic(topic, false).await?;
        let all = known.partitions.iter().map(|partition| partition.index);
        let chosen: Vec<i32> = all
            .filter(|index| args.partitions.is_empty() || args.partitions.contains(index))
            .collect();
        if chosen.len() < args.partitions.len() {
            let count = known.partitions.len();
            return Err(Usage(format!("{topic} has {count} partitions")).into());
        }
        after.extend(args.to.find(&mut connection, topic, &chosen).await?);
    }
    if !args.dry_run {
        connection.set_committed_offsets(&args.name, &after).await?;
    }
    let mut table = Table::new(&["topic", "partition", "before", "after"]);
    for ((topic, partition), offset) in &after {
        let old = before
            .get(&(topic.clone(), *partition))
            .map(|committed| committed.offset);
        table.row(vec![
            topic.as_str().into(),
            (*partition).into(),
            json!(old),
            (*offset).into(),
        ]);
    }
    Ok(table.print(args.json)?)
}

impl Place {
    async fn find(
        &self,
        connection: &mut Connection,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        let mut at = async |place| {
            let isolation = Isolation::ReadUncommitted;
            connection
                .offsets_at(topic, partitions, place, isolation)
                .await
        };
        if let Some(wanted) = self.to_offset {
            let first = at(At::Earliest).await?;
            let mut offsets = at(At::Latest).await?;
            for (place, end) in &mut offsets {
                let start = first.get(place).copied().unwrap_or(0).min(*end);
                *end = wanted.clamp(start, *end);
            }
            return Ok(offsets);
        }
        let place = match self.to_timestamp {
            Some(epoch_ms) => At::Time(epoch_ms),
            None if self.to_earliest => At::Earliest,
            None => At::Latest,
        };
        Ok(at(place).await?)
    }
}
