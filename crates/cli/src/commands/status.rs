//! `pabal status`: whether a server is ready; how a notification stands; a delivery, attempt by attempt. It can wait
//! until there is nothing more to wait for.

mod waiting;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::Value;

use super::deliveries::delivery_text;
use crate::client::{Answer, Connection, ServerArgs};
use crate::failure::Failure;
use crate::fields::{id, items, recipients, text};
use crate::output::{Output, Table, plain};

/// The states of a delivery that is to be attempted yet.
const OPEN_STATES: [&str; 2] = ["scheduled", "retrying"];

const STILL_OPEN: &str = "it has not ended";

/// The longest that `--timeout` takes: a day.
const WAIT_S_MAX: u64 = 24 * 60 * 60;

/// Show whether a server is ready, or how a notification or a delivery stands.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The id of a notification or of a delivery.
    #[arg(value_parser = id)]
    id: Option<String>,
    /// Wait until the server is ready, or until the notification or delivery has ended, however it does.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most. What has not come by then ends it with code 4.
    #[arg(long, value_name = "SECONDS", requires = "wait", default_value = "60")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=WAIT_S_MAX))]
    timeout: u64,
}

/// What a server answered.
struct Shown {
    body: Value,
    as_text: fn(&Value) -> String,
    /// What is still to come, which a waiter waits for.
    pending: Option<&'static str>,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let look = async || look(&args.server, args.id.as_deref()).await;
    let shown = if args.wait {
        waiting::until_nothing_is_pending(look, Duration::from_secs(args.timeout)).await?
    } else {
        look().await?
    };
    output.answer(&shown.body, shown.as_text)?;
    match shown.pending {
        Some(pending) if args.wait => {
            Err(Failure::Unavailable(format!("{pending} after {} s", args.timeout)).into())
        }
        Some(pending) if args.id.is_none() => Err(Failure::Unavailable(pending.to_owned()).into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Looks once.
async fn look(server: &ServerArgs, id: Option<&str>) -> Result<Shown> {
    let mut connection = Connection::open(server).await?;
    let Some(id) = id else { return readiness(&mut connection).await };
    let notification = get(&mut connection, &format!("/v1/notifications/{id}")).await?;
    if notification.status != StatusCode::NOT_FOUND {
        let body = notification.expect_success()?;
        let pending = is_notification_open(&body).then_some(STILL_OPEN);
        return Ok(Shown { body, as_text: notification_text, pending });
    }
    let delivery = get(&mut connection, &format!("/v1/deliveries/{id}")).await?;
    if delivery.status == StatusCode::NOT_FOUND {
        let problem = format!("this server has no notification and no delivery {id} for this key's app");
        return Err(Failure::NotFound(problem).into());
    }
    let body = delivery.expect_success()?;
    let pending = is_open(text(&body, "state")).then_some(STILL_OPEN);
    Ok(Shown { body, as_text: delivery_text, pending })
}

async fn get(connection: &mut Connection, path: &str) -> Result<Answer> {
    connection.call(Method::GET, path, None, None).await
}

async fn readiness(connection: &mut Connection) -> Result<Shown> {
    let answer = get(connection, "/readyz").await?;
    let pending = (!answer.status.is_success()).then_some("the server is not ready");
    Ok(Shown { body: answer.body, as_text: readiness_text, pending })
}

/// Whether a notification is not yet made into deliveries, or one of these has not ended.
fn is_notification_open(body: &Value) -> bool {
    let has_open = |state: &str| body["counts"][state].as_u64().is_some_and(|count| count > 0);
    matches!(text(body, "state"), "scheduled" | "expanding") || OPEN_STATES.into_iter().any(has_open)
}

fn is_open(state: &str) -> bool {
    OPEN_STATES.contains(&state)
}

fn readiness_text(body: &Value) -> String {
    let paused = body["paused_routes"].as_u64().unwrap_or_default();
    let plural = if paused == 1 { "" } else { "s" };
    let status = text(body, "status");
    let mut lines = vec![format!("{status}: {} in flight, {paused} route{plural} paused", body["in_flight"])];
    let reasons = body["reasons"].as_array().into_iter().flatten();
    lines.extend(reasons.map(|reason| format!("  {}", plain(reason.as_str().unwrap_or_default()))));
    lines.join("\n")
}

fn notification_text(body: &Value) -> String {
    let mut lines = vec![
        format!("notification {}  {}", text(body, "id"), text(body, "state")),
        format!("  to       {}", recipients(&body["to"])),
        format!("  lane     {}", text(body, "lane")),
        format!("  accepted {}", text(body, "created_at")),
    ];
    if !body["send_at"].is_null() {
        lines.push(format!("  send at  {}", text(body, "send_at")));
    }
    lines.push(format!("  expires  {}", text(body, "expires_at")));
    let counts = body["counts"].as_object().into_iter().flatten();
    lines.extend(counts.map(|(state, count)| format!("  {state:<14} {count}")));
    lines.push(format!("\n{}", delivery_table(body)));
    if !body["next_cursor"].is_null() {
        let id = text(body, "id");
        lines.push(format!("  … and more: pabal deliveries list --notification {id} --all"));
    }
    lines.join("\n")
}

fn delivery_table(body: &Value) -> Table {
    let mut table = Table::new(&["delivery", "to", "state", "attempts", "why"]);
    for delivery in items(body, "deliveries") {
        let paused = delivery["paused"].as_str().map(|paused| format!("paused: {paused}"));
        let attempts = delivery["attempts"].as_u64().unwrap_or_default().to_string();
        let why = paused.unwrap_or_else(|| text(delivery, "reason").to_owned());
        let (id, state) = (text(delivery, "id"), text(delivery, "state"));
        table.row([id, &recipients(&delivery["to"]), state, &attempts, &why]);
    }
    table
}
