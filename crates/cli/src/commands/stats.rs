//! `pabal stats`: the numbers of an app at a glance.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use indicatif::HumanDuration;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::fields::{count, items, text};
use crate::output::{Output, plain};

/// Where the numbers are.
pub(super) const PATH: &str = "/v1/stats";

/// Show how many deliveries are in which state, what waits, and what is paused.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let stats = Client::open(&args.server).await?.get(PATH).await?;
    output.answer(&stats, as_text)?;
    Ok(ExitCode::SUCCESS)
}

/// All the numbers.
pub(super) fn as_text(stats: &Value) -> String {
    let mut lines = vec![format!("app {}", plain(text(stats, "app"))), "deliveries".to_owned()];
    let states: Vec<&String> =
        stats["deliveries"].as_object().into_iter().flatten().map(|(state, _)| state).collect();
    lines.extend(
        states.iter().map(|state| format!("  {state:<14} {:>13}", count(&stats["deliveries"], state))),
    );
    if states.is_empty() {
        lines.push("  none yet".to_owned());
    }
    let reasons: Vec<String> = items(stats, "reasons").map(reason_line).collect();
    if !reasons.is_empty() {
        lines.push("reasons".to_owned());
        lines.extend(reasons);
    }
    lines.extend(queue_lines(stats));
    let paused: Vec<String> = items(stats, "paused").map(pause_line).collect();
    if !paused.is_empty() {
        lines.push("paused".to_owned());
        lines.extend(paused);
    }
    lines.join("\n")
}

fn reason_line(reason: &Value) -> String {
    let (state, why) = (text(reason, "state"), text(reason, "reason"));
    format!("  {state:<14} {:>13}  {why}", count(reason, "count"))
}

/// The queue, for keys that see it.
pub(super) fn queue_lines(stats: &Value) -> Vec<String> {
    let queue = &stats["queue"];
    let Some(lanes) = queue["entries"].as_object() else { return Vec::new() };
    let mut lines = vec!["queue, over all apps".to_owned()];
    lines.extend(lanes.keys().map(|lane| format!("  {lane:<14} {:>13}", count(&queue["entries"], lane))));
    lines.push(format!("  {:<14} {:>13}", "in flight", count(queue, "in_flight")));
    let oldest = match queue["oldest_due_age_ms"].as_u64() {
        Some(age_ms) => format!(
            "  the oldest that waits has been due for {}",
            HumanDuration(Duration::from_millis(age_ms))
        ),
        None => "  nothing that is due waits".to_owned(),
    };
    lines.push(oldest);
    lines
}

/// A route that is held, and why.
pub(super) fn pause_line(pause: &Value) -> String {
    let (route, since, reason) = (text(pause, "route"), text(pause, "since"), text(pause, "reason"));
    format!("  {} since {since}: {}", plain(route), plain(reason))
}
