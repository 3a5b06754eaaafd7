//! `klamm transaction`: lists and describes transactional ids, and aborts a transaction that hangs.
use anyhow::Result;
use clap::Subcommand;
use client::{Connection, TransactionFilter};

use super::connect::Bootstrap;
use super::table::Table;

/// What to do with transactions.
#[derive(Debug, Subcommand)]
pub(super) enum TransactionCommand {
    /// Lists transactional ids.
    List {
        /// Only those in this state, as in `Ongoing`; may be given many times.
        #[arg(long = "state", value_name = "STATE")]
        states: Vec<String>,
        /// Only those of this producer; may be given many times.
        #[arg(long = "producer-id", value_name = "ID")]
        producer_ids: Vec<i64>,
        /// Only those whose transaction began longer ago than this, in milliseconds.
        #[arg(long, value_name = "MS")]
        longer_than: Option<i64>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Shows a transactional id, and what is in its transaction.
    Describe {
        /// The transactional id.
        id: String,
        /// One JSON object per line: the id, then the partitions.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Aborts the transaction of a producer in one partition, whatever the coordinator knows of it:
    /// for one that hangs and holds the readers of committed records up.
    Abort {
        /// Topic.
        #[arg(long, short, value_name = "TOPIC")]
        topic: String,
        /// Partition.
        #[arg(long, short, value_name = "N")]
        partition: i32,
        /// Whose transaction; `klamm transaction open` shows it.
        #[arg(long, value_name = "ID")]
        producer_id: i64,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Shows the transactions that are open in a partition.
    Open {
        /// Topic.
        #[arg(long, short, value_name = "TOPIC")]
        topic: String,
        /// Partition.
        #[arg(long, short, value_name = "N", default_value_t = 0)]
        partition: i32,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// Runs the command.
pub(super) async fn run(command: TransactionCommand) -> Result<()> {
    match command {
        TransactionCommand::List {
            states,
            producer_ids,
            longer_than,
            json,
            bootstrap,
        } => {
            let filter = TransactionFilter {
                states,
                producer_ids,
                longer_than_ms: longer_than,
            };
            list(&mut bootstrap.open().await?, &filter, json).await
        }
        TransactionCommand::Describe {
            id,
            json,
            bootstrap,
        } => describe(&mut bootstrap.open().await?, &id, json).await,
        TransactionCommand::Abort {
            topic,
            partition,
            producer_id,
            bootstrap,
        } => abort(&mut bootstrap.open().await?, &topic, partition, producer_id).await,
        TransactionCommand::Open {
            topic,
            partition,
            json,
            bootstrap,
        } => open(&mut bootstrap.open().await?, &topic, partition, json).await,
    }
}

async fn list(connection: &mut Connection, filter: &TransactionFilter, json: bool) -> Result<()> {
    let mut table = Table::new(&["transactional_id", "producer_id", "state"]);
    for it in connection.list_transactions(filter).await? {
        table.row(vec![
            it.transactional_id.into(),
            it.producer_id.into(),
            it.state.into(),
        ]);
    }
    Ok(table.print(json)?)
}

async fn describe(connection: &mut Connection, id: &str, json: bool) -> Result<()> {
    let it = connection.describe_transaction(id).await?;
    let mut summary = Table::new(&[
        "transactional_id",
        "state",
        "producer_id",
        "producer_epoch",
        "timeout_ms",
        "started_ms",
    ]);
    summary.row(vec![
        it.transactional_id.into(),
        it.state.into(),
        it.producer_id.into(),
        it.producer_epoch.into(),
        it.timeout_ms.into(),
        it.started_ms.into(),
    ]);
    summary.print(json)?;
    if it.partitions.is_empty() {
        return Ok(());
    }
    let mut partitions = Table::new(&["topic", "partition"]);
    for (topic, partition) in it.partitions {
        partitions.row(vec![topic.into(), partition.into()]);
    }
    Ok(partitions.print(json)?)
}

async fn open(connection: &mut Connection, topic: &str, partition: i32, json: bool) -> Result<()> {
    let mut table = Table::new(&["producer_id", "producer_epoch", "first_offset"]);
    for it in connection.open_transactions(topic, partition).await? {
        table.row(vec![
            it.producer_id.into(),
            it.producer_epoch.into(),
            it.first_offset.into(),
        ]);
    }
    Ok(table.print(json)?)
}

async fn abort(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    producer_id: i64,
) -> Result<()> {
    let open = connection.open_transactions(topic, partition).await?;
    let open = open.into_iter().find(|it| it.producer_id == producer_id);
    let Some(open) = open else {
        anyhow::bail!("producer {producer_id} has no open transaction in {topic}-{partition}");
    };
    Ok(connection.abort_transaction(topic, partition, open).await?)
}
