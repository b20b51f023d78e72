//! `pabal users`: forgetting a person.

use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use http::Method;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::confirm::ConfirmArgs;
use crate::fields::count;
use crate::output::{Output, plain};
use crate::path::segment;

/// Forget people.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// End what waits for a user and erase every trace of the person; counts stay.
    Erase(EraseArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The user.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    user: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    let Command::Erase(args) = command;
    args.confirm.ask(&format!("user {} is to be erased", plain(&args.user)))?;
    let mut client = Client::open(&args.server).await?;
    let path = format!("/v1/users/{}", segment(&args.user));
    // What takes longer than a request may goes on in further ones; the last answer counts what all of them did.
    let erased = client.call(Method::DELETE, &path, None).await?;
    output.answer(&erased, |erased| as_text(&args.user, erased))?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(user: &str, erased: &Value) -> String {
    let mut lines = vec![format!("user {} is erased", plain(user))];
    for (key, what) in [
        ("devices", "devices removed"),
        ("cancelled", "open deliveries ended"),
        ("deliveries", "deliveries that no longer say for whom"),
        ("notifications", "notifications that no longer name the user"),
        ("in_flight", "deliveries under way, which may still arrive"),
    ] {
        lines.push(format!("  {:>9}  {what}", count(erased, key)));
    }
    lines.join("\n")
}
