//! `pabal dead-letters`: what will not be retried by itself: looked at, opened again, removed.

mod filter;
mod follow;
mod purge;
mod redrive;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use self::filter::FilterArgs;
use super::deliveries::delivery_text;
use crate::client::{Client, ServerArgs};
use crate::fields::{id, recipients, text};
use crate::listing::{HowMany, Listing};
use crate::output::Output;

/// What is left to do about something that is not dead.
const NOT_DEAD: &str = "'pabal status ID' shows how it stands";

/// Look at dead letters, open them again, remove them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List dead letters, newest first.
    List(ListArgs),
    /// Show a dead letter, attempt by attempt.
    Show(ShowArgs),
    /// Open dead letters again, at a rate that provider and phones can bear.
    ///
    /// They get a fresh budget of attempts and, where their time to live has ended, that time again. The server does
    /// the work and goes on after a restart; this command only begins it, and watches with --wait.
    Redrive(Box<redrive::Args>),
    /// Remove dead letters for good.
    Purge(purge::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    how_many: HowMany,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The id of a dead delivery, or of a notification that died before it had all its deliveries.
    #[arg(value_parser = id)]
    id: String,
}

const LISTING: Listing = Listing {
    path: "/v1/dead-letters",
    plural: "dead_letters",
    columns: &["id", "died", "reason", "to", "attempts", "last answer"],
    row: |letter| {
        let attempts = letter["attempts"].as_u64().map(|attempts| attempts.to_string()).unwrap_or_default();
        let to = match text(letter, "kind") {
            "notification" => "(whole notification)".to_owned(),
            _ => recipients(&letter["to"]),
        };
        let [id, died, reason] = ["id", "finished_at", "reason"].map(|key| text(letter, key).to_owned());
        vec![id, died, reason, to, attempts, answer(&letter["last_attempt"])]
    },
};

/// What came of an attempt, in a few words.
fn answer(attempt: &Value) -> String {
    let status = attempt["status"].as_u64().map(|status| status.to_string()).unwrap_or_default();
    let said = attempt["code"].as_str().unwrap_or_else(|| text(attempt, "outcome"));
    format!("{status} {said}").trim().to_owned()
}

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::List(args) => {
            let mut client = Client::open(&args.server).await?;
            LISTING.show(&mut client, &args.filter.query(), args.how_many, output).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Show(args) => show(args, output).await,
        Command::Redrive(args) => redrive::run(*args, output).await,
        Command::Purge(args) => purge::run(args, output).await,
    }
}

async fn show(args: ShowArgs, output: Output) -> Result<ExitCode> {
    let mut client = Client::open(&args.server).await?;
    let answer = client.once(http::Method::GET, &format!("/v1/dead-letters/{}", args.id), None).await?;
    let letter = answer.expect_success().map_err(|failure| failure.advised(NOT_DEAD))?;
    output.answer(&letter, |letter| match text(letter, "kind") {
        "notification" => notification_text(letter),
        _ => delivery_text(letter),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn notification_text(letter: &Value) -> String {
    let [id, reason, made, died] = ["id", "reason", "created_at", "finished_at"].map(|key| text(letter, key));
    let mut lines = vec![
        format!("notification {id}  dead ({reason})"),
        format!("  lane     {}", text(letter, "lane")),
        format!("  accepted {made}"),
        format!("  died     {died}, before all its deliveries were made"),
    ];
    let counts = letter["counts"].as_object().into_iter().flatten();
    lines.extend(counts.map(|(state, count)| format!("  {state:<14} {count}")));
    lines.join("\n")
}
