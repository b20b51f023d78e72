//! `pabal status`: whether a server is ready; how a notification stands; a delivery, attempt by attempt.

use std::process::ExitCode;

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::client::{Answer, Connection, ServerArgs};
use crate::failure::Failure;

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
    if !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(Failure::Usage(format!(
            "'{id}' is no id: it has digits, the letters a to f and '-' only"
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
        println!(
            "{}: {} in flight, {} routes paused",
            text(&body, "status"),
            body["in_flight"],
            body["paused_routes"]
        );
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
    }
    if !body["next_cursor"].is_null() {
        println!("  … and more: the API pages them with ?cursor={}", text(body, "next_cursor"));
    }
}

fn print_delivery(body: &Value) {
    println!("delivery {}  {}", text(body, "id"), summary(body));
    println!("  of notification {}", text(body, "notification"));
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
    }
    if !body["next_attempt_at"].is_null() {
        println!("  next attempt {}", text(body, "next_attempt_at"));
    }
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
