//! `klamm topic`: makes, lists, describes, alters and deletes topics.
use anyhow::Result;
use clap::Subcommand;
use client::{At, ClientError, ConfigChange, Connection, Isolation, NewTopic, Topic};
use protocol::error::ErrorCode;
use serde_json::json;

use super::args::pair;
use super::connect::Bootstrap;
use super::exit::Usage;
use super::table::Table;

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Makes a topic.
    Create {
        /// Name of the topic.
        name: String,
        /// Partitions; the broker's default if not given.
        #[arg(long, short, value_name = "N")]
        partitions: Option<i32>,
        /// Replicas; the broker's default if not given.
        #[arg(long, value_name = "N")]
        replication_factor: Option<i16>,
        /// A config of the topic; may be given many times.
        #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A topic that is there already is no error.
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Lists topics.
    List {
        /// The broker's own topics too.
        #[arg(long)]
        internal: bool,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Shows the partitions of a topic, their offsets, and its configs.
    Describe {
        /// Name of the topic.
        name: String,
        /// Shows every config instead of those that the topic itself sets.
        #[arg(long)]
        all: bool,
        /// One JSON object per line: partitions, then configs.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Changes the configs of a topic or gives it more partitions.
    Alter {
        /// Name of the topic.
        name: String,
        /// Partitions in all; more than there are.
        #[arg(long, short, value_name = "N")]
        partitions: Option<i32>,
        /// A config to set; may be given many times.
        #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A config to take back to its default; may be given many times.
        #[arg(long, value_name = "NAME")]
        delete_config: Vec<String>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Deletes a topic and all of its records.
    Delete {
        /// Name of the topic.
        name: String,
        /// A topic that is not there is no error.
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// Runs the command.
pub(super) async fn run(command: TopicCommand) -> Result<()> {
    match command {
        TopicCommand::Create {
            name,
            partitions,
            replication_factor,
            config,
            if_not_exists,
            bootstrap,
        } => {
            let topic = NewTopic {
                name,
                partitions,
                replication_factor,
                configs: config,
            };
            let made = bootstrap.open().await?.create_topic(&topic).await;
            forgive(made, if_not_exists, ErrorCode::TopicAlreadyExists)
        }
        TopicCommand::List {
            internal,
            json,
            bootstrap,
        } => {
            let mut topics = bootstrap.open().await?.all_topics().await?;
            topics.retain(|topic| internal || !topic.internal);
            Ok(listing(&topics).print(json)?)
        }
        TopicCommand::Describe {
            name,
            all,
            json,
            bootstrap,
        } => describe(&mut bootstrap.open().await?, &name, all, json).await,
        TopicCommand::Alter {
            name,
            partitions,
            config,
            delete_config,
            bootstrap,
        } => {
            let set = config
                .into_iter()
                .map(|(name, value)| ConfigChange::Set(name, value));
            let delete = delete_config.into_iter().map(ConfigChange::Delete);
            let changes: Vec<ConfigChange> = set.chain(delete).collect();
            if changes.is_empty() && partitions.is_none() {
                let hint = "nothing to alter: give --config, --delete-config or --partitions";
                return Err(Usage(hint.to_owned()).into());
            }
            let mut connection = bootstrap.open().await?;
            if !changes.is_empty() {
                connection.alter_topic_configs(&name, &changes).await?;
            }
            if let Some(count) = partitions {
                connection.create_partitions(&name, count).await?;
            }
            Ok(())
        }
        TopicCommand::Delete {
            name,
            if_exists,
            bootstrap,
        } => {
            let deleted = bootstrap.open().await?.delete_topic(&name).await;
            forgive(deleted, if_exists, ErrorCode::UnknownTopicOrPartition)
        }
    }
}

/// Takes one error for success if asked to.
fn forgive(done: Result<(), ClientError>, forgiving: bool, code: ErrorCode) -> Result<()> {
    match done {
        Err(error) if forgiving && error.code() == Some(code) => Ok(()),
        done => Ok(done?),
    }
}

fn listing(topics: &[Topic]) -> Table {
    let mut table = Table::new(&["topic", "partitions", "replicas", "internal", "id"]);
    for topic in topics {
        let replicas = topic
            .partitions
            .first()
            .map_or(0, |partition| partition.replicas.len());
        table.row(vec![
            topic.name.as_str().into(),
            topic.partitions.len().into(),
            replicas.into(),
            topic.internal.into(),
            topic.id.as_str().into(),
        ]);
    }
    table
}

async fn describe(connection: &mut Connection, name: &str, all: bool, json: bool) -> Result<()> {
    let topic = connection.topic(name, false).await?;
    let indexes: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let isolation = Isolation::ReadUncommitted;
    let starts = connection
        .offsets_at(name, &indexes, At::Earliest, isolation)
        .await?;
    let ends = connection
        .offsets_at(name, &indexes, At::Latest, isolation)
        .await?;
    let mut partitions = Table::new(&[
        "topic",
        "partition",
        "leader",
        "in_sync",
        "start_offset",
        "end_offset",
    ]);
    for partition in &topic.partitions {
        let place = (name.to_owned(), partition.index);
        partitions.row(vec![
            name.into(),
            partition.index.into(),
            partition.leader.into(),
            json!(partition.in_sync),
            json!(starts.get(&place)),
            json!(ends.get(&place)),
        ]);
    }
    let mut configs = Table::new(&["config", "value", "source"]);
    let mut shown = connection.topic_configs(name).await?;
    shown.retain(|config| all || config.is_own());
    for config in &shown {
        configs.row(vec![
            config.name.as_str().into(),
            json!(config.value),
            config.source.into(),
        ]);
    }
    partitions.print(json)?;
    if !shown.is_empty() {
        if !json {
            println!();
        }
        configs.print(json)?;
    }
    Ok(())
}
