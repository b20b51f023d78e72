//! `pabal notifications`: what was accepted. One of them, with its deliveries, is shown by `pabal status`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::fields::{recipients, text};
use crate::listing::{HowMany, Listing};
use crate::moment::SpanArgs;
use crate::output::Output;
use crate::path::Query;

/// Look at notifications.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List notifications, newest first.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Those in this state: scheduled, expanding, expanded, cancelled, expired or dead.
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    how_many: HowMany,
}

const LISTING: Listing = Listing {
    path: "/v1/notifications",
    plural: "notifications",
    columns: &["id", "accepted", "to", "lane", "state", "deliveries"],
    row: |notification| {
        let [id, made, lane, state] =
            ["id", "created_at", "lane", "state"].map(|key| text(notification, key).to_owned());
        vec![id, made, recipients(&notification["to"]), lane, state, counts(&notification["counts"])]
    },
};

/// How many deliveries are in each state, as `2 delivered, 1 dead`.
fn counts(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    counts.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    let Command::List(args) = command;
    let (since, until) = (args.span.since(), args.span.until());
    let query = Query::default()
        .with("state", args.state.as_deref())
        .with("since", since.as_deref())
        .with("until", until.as_deref());
    let mut client = Client::open(&args.server).await?;
    LISTING.show(&mut client, &query, args.how_many, output).await?;
    Ok(ExitCode::SUCCESS)
}
