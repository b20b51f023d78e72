//! `pabal status`: whether a server is ready; how a notification stands; a delivery, attempt by attempt.

use std::process::ExitCode;

use anyhow::Result;
use http::{Method, StatusCode};
use pabal_core::ids::NotificationId;
use serde_json::Value;

use crate::client::{Answer, Connection, ServerArgs};
use crate::failure::Failure;

/// Characters of a token, FID, topic or condition that are shown.
const ADDRESS_CHARS_SHOWN: usize = 40;

/// What an id looks like.
const EXAMPLE_ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

/// Show whether a server is ready, or how a notification or a delivery stands.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The id of a notification or of a delivery.
    id: Option<String>,
}

pub(crate) async fn run(args: Args, json: bool) -> Result<ExitCode> {
    let mut connection = Connection::open(&args.server).await?;
    let Some(id) = &args.id else { return readiness(&mut connection, json).await };
    let is_plain = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if !is_plain || id.parse::<NotificationId>().is_err() {
        return Err(Failure::Usage(format!(
            "'{id}' is no id: one reads like {EXAMPLE_ID}, as 'pabal send' prints it"
        ))
        .into());
    }
    let notification = get(&mut connection, &format!("/v1/notifications/{id}")).await?;
    let (body, print): (Value, fn(&Value)) = if notification.status == StatusCode::NOT_FOUND {
        let delivery = get(&mut connection, &format!("/v1/deliveries/{id}")).await?;
        if delivery.status == StatusCode::NOT_FOUND {
            let problem = format!("this server has no notification and no delivery {id} for this key's app");
            return Err(Failure::NotFound(problem).into());
        }
        (delivery.expect_success()?, print_delivery)
    } else {
        (notification.expect_success()?, print_notification)
    };
    if json {
        println!("{body}");
    } else {
        print(&body);
    }
    Ok(ExitCode::SUCCESS)
}

async fn get(connection: &mut Connection, path: &str) -> Result<Answer> {
    connection.call(Method::GET, path, None, None).await
}

async fn readiness(connection: &mut Connection, json: bool) -> Result<ExitCode> {
    let answer = get(connection, "/readyz").await?;
    let (is_ready, body) = (answer.status.is_success(), answer.body);
    if json {
        println!("{body}");
    } else {
        let paused = body["paused_routes"].as_u64().unwrap_or_default();
        let plural = if paused == 1 { "" } else { "s" };
        println!("{}: {} in flight, {paused} route{plural} paused", text(&body, "status"), body["in_flight"]);
        for reason in body["reasons"].as_array().into_iter().flatten() {
            println!("  {}", reason.as_str().unwrap_or_default());
        }
    }
    if is_ready {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Unavailable("the server is not ready".to_owned()).into())
}

fn print_notification(body: &Value) {
    println!("notification {}  {}", text(body, "id"), text(body, "state"));
    println!("  to       {}", recipients(&body["to"]));
    println!("  lane     {}", text(body, "lane"));
    println!("  accepted {}", text(body, "created_at"));
    if !body["send_at"].is_null() {
        println!("  send at  {}", text(body, "send_at"));
    }
    println!("  expires  {}", text(body, "expires_at"));
    for (state, count) in body["counts"].as_object().into_iter().flatten() {
        println!("  {state:<14} {count}");
    }
    let deliveries = body["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    for delivery in deliveries {
        println!("  delivery {}  {}", text(delivery, "id"), summary(delivery));
        println!("           to {}", recipients(&delivery["to"]));
        if let Some(paused) = delivery["paused"].as_str() {
            println!("           paused: {paused}");
        }
    }
    if !body["next_cursor"].is_null() {
        println!("  … and more: the API pages them with ?cursor={}", text(body, "next_cursor"));
    }
}

fn print_delivery(body: &Value) {
    println!("delivery {}  {}", text(body, "id"), summary(body));
    println!("  of notification {}", text(body, "notification"));
    println!("  to {}", recipients(&body["to"]));
    if let Some(channel) = body["channel"].as_str() {
        println!("  by {channel}, project {}, {}", text(body, "project"), text(body, "platform"));
    }
    println!("  made {}", text(body, "created_at"));
    for attempt in body["timeline"].as_array().into_iter().flatten() {
        let status = attempt["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
        let code = attempt["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
        println!(
            "  {:>3}. {}  {:<18}{status}{code}  {} ms",
            attempt["number"],
            text(attempt, "at"),
            text(attempt, "outcome"),
            attempt["latency_ms"],
        );
        if let Some(detail) = attempt["detail"].as_str() {
            println!("       {detail}");
        }
    }
    if let Some(paused) = body["paused"].as_str() {
        println!("  paused: {paused}");
    }
    if !body["next_attempt_at"].is_null() {
        println!("  next attempt {}", text(body, "next_attempt_at"));
    }
}

/// For whom, in a few words. A token is an address of a person: its beginning is enough to know it again.
fn recipients(to: &Value) -> String {
    if let Some(users) = to["users"].as_array() {
        return format!("{} users", users.len());
    }
    let device = to.get("device").filter(|device| device.is_object()).unwrap_or(to);
    match (device["user"].as_str(), device["device"].as_str()) {
        (Some(user), Some(device)) => return format!("user {user}, device {device}"),
        (Some(user), None) => return format!("user {user}"),
        _ => {}
    }
    let Some((kind, address)) = to.as_object().and_then(|fields| fields.iter().next()) else {
        return String::new();
    };
    let address = address.as_str().unwrap_or_default();
    let begin: String = address.chars().take(ADDRESS_CHARS_SHOWN).collect();
    let rest = if begin.len() < address.len() { "…" } else { "" };
    format!("{kind} {begin}{rest}")
}

fn summary(delivery: &Value) -> String {
    let reason = delivery["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let attempts = delivery["attempts"].as_u64().unwrap_or_default();
    let plural = if attempts == 1 { "" } else { "s" };
    format!("{}{reason} after {attempts} attempt{plural}", text(delivery, "state"))
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}
