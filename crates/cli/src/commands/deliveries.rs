//! `pabal deliveries`: found by what they are. One of them, attempt by attempt, is shown by `pabal status`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::fields::{id, items, recipients, text};
use crate::listing::{HowMany, Listing};
use crate::moment::SpanArgs;
use crate::output::{Output, plain};
use crate::path::Query;

/// Look at deliveries.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List deliveries, newest first.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Those of this user.
    #[arg(long)]
    user: Option<String>,
    /// Those in this state: scheduled, retrying, delivered, dead, expired, cancelled or undeliverable.
    #[arg(long)]
    state: Option<String>,
    /// Those that ended for this reason, as unregistered.
    #[arg(long)]
    reason: Option<String>,
    /// Those of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Those of this notification.
    #[arg(long, value_name = "ID", value_parser = id)]
    notification: Option<String>,
    /// By the time when the notification was accepted.
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    how_many: HowMany,
}

const LISTING: Listing = Listing {
    path: "/v1/deliveries",
    plural: "deliveries",
    columns: &["id", "accepted", "to", "state", "attempts", "why"],
    row: |delivery| {
        let attempts = delivery["attempts"].as_u64().unwrap_or_default().to_string();
        let paused = delivery["paused"].as_str().map(|paused| format!("paused: {paused}"));
        let why = paused.unwrap_or_else(|| text(delivery, "reason").to_owned());
        let [id, made, state] = ["id", "created_at", "state"].map(|key| text(delivery, key).to_owned());
        vec![id, made, recipients(&delivery["to"]), state, attempts, why]
    },
};

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    let Command::List(args) = command;
    let (since, until) = (args.span.since(), args.span.until());
    let query = Query::default()
        .with("user", args.user.as_deref())
        .with("state", args.state.as_deref())
        .with("reason", args.reason.as_deref())
        .with("channel", args.channel.as_deref())
        .with("notification", args.notification.as_deref())
        .with("since", since.as_deref())
        .with("until", until.as_deref());
    let mut client = Client::open(&args.server).await?;
    LISTING.show(&mut client, &query, args.how_many, output).await?;
    Ok(ExitCode::SUCCESS)
}

/// A delivery with its timeline, if it has one.
pub(super) fn delivery_text(body: &Value) -> String {
    let mut lines = vec![
        format!("delivery {}  {}", text(body, "id"), summary(body)),
        format!("  of notification {}", text(body, "notification")),
        format!("  to {}", recipients(&body["to"])),
    ];
    if let Some(channel) = body["channel"].as_str() {
        let (project, platform) = (text(body, "project"), text(body, "platform"));
        lines.push(format!("  by {channel}, project {project}, {platform}"));
    }
    lines.push(format!("  made {}", text(body, "created_at")));
    lines.extend(items(body, "timeline").flat_map(attempt_lines));
    if let Some(paused) = body["paused"].as_str() {
        lines.push(format!("  paused: {}", plain(paused)));
    }
    if !body["next_attempt_at"].is_null() {
        lines.push(format!("  next attempt {}", text(body, "next_attempt_at")));
    }
    lines.join("\n")
}

/// An attempt, and below it what the provider said.
fn attempt_lines(attempt: &Value) -> Vec<String> {
    let status = attempt["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
    let code = attempt["code"].as_str().map(|code| format!(" {}", plain(code))).unwrap_or_default();
    let (at, outcome) = (text(attempt, "at"), text(attempt, "outcome"));
    let (number, latency) = (&attempt["number"], &attempt["latency_ms"]);
    let line = format!("  {number:>3}. {at}  {outcome:<18}{status}{code}  {latency} ms");
    let detail = attempt["detail"].as_str().map(|detail| format!("       {}", plain(detail)));
    [line].into_iter().chain(detail).collect()
}

fn summary(delivery: &Value) -> String {
    let reason = delivery["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let attempts = delivery["attempts"].as_u64().unwrap_or_default();
    let plural = if attempts == 1 { "" } else { "s" };
    format!("{}{reason} after {attempts} attempt{plural}", text(delivery, "state"))
}
