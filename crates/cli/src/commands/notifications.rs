//! `pabal notifications`: what was accepted, and taking it back. One of them, with its deliveries, is shown by
//! `pabal status`.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::fields::{recipients, text};
use crate::listing::{HowMany, Listing};
use crate::moment::SpanArgs;
use crate::output::Output;
use crate::path::{Query, segment};

/// Look at notifications, and take them back.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List notifications, newest first.
    List(ListArgs),
    /// Take a notification back: what was not sent yet is not sent any more.
    Cancel(CancelArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The notification's id.
    id: String,
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
    match command {
        Command::List(args) => list(args, output).await,
        Command::Cancel(args) => cancel(args, output).await,
    }
}

async fn cancel(args: CancelArgs, output: Output) -> Result<ExitCode> {
    let mut client = Client::open(&args.server).await?;
    let path = format!("/v1/notifications/{}", segment(&args.id));
    let cancelled = client.once(Method::DELETE, &path, None).await?.expect_success()?;
    output.answer(&cancelled, |cancelled| {
        let count = |name: &str| cancelled[name].as_u64().unwrap_or_default();
        format!(
            "{} cancelled, {} sent already, {} ended otherwise before, {} in flight at this moment",
            count("cancelled"),
            count("already_sent"),
            count("already_final"),
            count("in_flight")
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs, output: Output) -> Result<ExitCode> {
    let (since, until) = (args.span.since(), args.span.until());
    let query = Query::default()
        .with("state", args.state.as_deref())
        .with("since", since.as_deref())
        .with("until", until.as_deref());
    let mut client = Client::open(&args.server).await?;
    LISTING.show(&mut client, &query, args.how_many, output).await?;
    Ok(ExitCode::SUCCESS)
}
