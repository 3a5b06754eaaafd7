//! `klamm projection`: looks at views, orders them about, and redrives what they rejected.
use std::io::{self, Write};

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::http::{Http, encoded};
use super::table::Table;

mod describe;
mod letters;
mod rebuild;

/// What to do with views.
#[derive(Debug, Subcommand)]
pub(super) enum ProjectionCommand {
    /// Lists views and how they are doing.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        http: Http,
    },
    /// Shows everything about a view: state, counts, how far its source was read.
    Describe {
        #[command(flatten)]
        view: View,
        /// The whole description as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Stops a view: it reads nothing until it is resumed.
    Pause(View),
    /// Lets a view go on.
    Resume(View),
    /// Builds a view anew beside the one that readers see, and then puts it in its place.
    Rebuild(rebuild::RebuildArgs),
    /// Puts the generation that was built and held in the place of the one that readers see.
    Promote(View),
    /// Prints the SHA-256 over a view's rows: the same rows give the same digest.
    Digest {
        #[command(flatten)]
        view: View,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a view rejected, the newest first.
    Dlq(letters::DlqArgs),
    /// Applies chosen dead letters after all, each of them once.
    Redrive(letters::RedriveArgs),
}

/// A view, and where to find it.
#[derive(Debug, clap::Args)]
pub(super) struct View {
    /// Name of the view.
    #[arg(value_name = "VIEW")]
    name: String,
    #[command(flatten)]
    http: Http,
}

impl View {
    /// The path of the view below `/v1/projections`, and what follows it.
    fn path(&self, rest: &str) -> String {
        format!("/v1/projections/{}{rest}", encoded(&self.name))
    }

    /// Everything about it.
    async fn description(&self) -> Result<Value> {
        Ok(self.http.get(&self.path("")).await?)
    }

    /// Gives an order, and says what state follows from it.
    async fn order(&self, order: &str) -> Result<()> {
        let path = self.path(&format!("/{order}"));
        let done = self.http.post(&path, &json!({})).await?;
        let state = done["state"].as_str().unwrap_or_default();
        Ok(writeln!(io::stdout(), "{} {state}", self.name)?)
    }
}

/// Runs the command.
pub(super) async fn run(command: ProjectionCommand) -> Result<()> {
    match command {
        ProjectionCommand::List { json, http } => describe::list(&http, json).await,
        ProjectionCommand::Describe { view, json } => describe::one(&view, json).await,
        ProjectionCommand::Pause(view) => view.order("pause").await,
        ProjectionCommand::Resume(view) => view.order("resume").await,
        ProjectionCommand::Rebuild(args) => rebuild::run(&args).await,
        ProjectionCommand::Promote(view) => view.order("promote").await,
        ProjectionCommand::Digest { view, json } => digest(&view, json).await,
        ProjectionCommand::Dlq(args) => letters::list(&args).await,
        ProjectionCommand::Redrive(args) => letters::redrive(&args).await,
    }
}

async fn digest(view: &View, json: bool) -> Result<()> {
    let path = format!("/v1/views/{}/digest", encoded(&view.name));
    let mut found = view.http.get(&path).await?;
    let mut table = Table::new(&["digest", "rows", "generation", "position"]);
    let cells = ["digest", "rows", "generation", "position"].map(|name| found[name].take());
    table.row(cells.into());
    Ok(table.print(json)?)
}
