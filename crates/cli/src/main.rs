//! The binary `pabal`: runs the server, and speaks to one.
//!
//! `serve`, `config`, `migrate`, `backup` and `emulator` work on this machine; everything else is a client of the HTTP
//! API, so that it shows what any client would see. The exit codes are part of the interface: see [`failure`].

mod client;
mod commands;
mod confirm;
mod demo;
mod failure;
mod fields;
mod help;
mod listing;
mod logging;
mod moment;
mod output;
mod path;
mod signals;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use serde_json::Value;

use crate::commands::{
    apps, backup, completions, config, dead_letters, deliveries, devices, emulator, keys, migrate,
    notifications, send, serve, stats, status, top, users,
};
use crate::output::Output;

/// Accepts notifications, delivers them, retries, and loses none.
#[derive(Debug, Parser)]
#[command(name = "pabal", version)]
struct Cli {
    /// Answer with JSON on standard output, and with errors as JSON on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Send a notification through a running server, or a file of them.
    Send(Box<send::Args>),
    /// Show whether a server is ready, or how a notification or a delivery stands.
    Status(status::Args),
    /// Look at notifications.
    #[command(subcommand)]
    Notifications(notifications::Command),
    /// Look at deliveries.
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// Register, look at, remove and restore devices.
    #[command(subcommand)]
    Devices(devices::Command),
    /// Forget people.
    #[command(subcommand)]
    Users(users::Command),
    /// Look at dead letters, open them again, remove them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make and list apps: namespaces that see nothing of each other.
    #[command(subcommand)]
    Apps(apps::Command),
    /// Show how many deliveries are in which state, what waits, and what is paused.
    Stats(stats::Args),
    /// Watch the same each second.
    Top(top::Args),
    /// Check the configuration, or print what can be configured.
    #[command(subcommand)]
    Config(config::Command),
    /// Bring the store to the newest schema, as the next start would.
    Migrate(migrate::Args),
    /// Copy the store into one file, while its server runs or not, and check the copy.
    Backup(backup::Args),
    /// Run a provider's stand-in on this machine.
    #[command(subcommand)]
    Emulator(Emulator),
    /// Print what a shell needs to complete commands and options.
    Completions(completions::Args),
    /// Print the guide's page about the command line.
    #[command(hide = true)]
    HelpMarkdown,
    /// Print the OpenAPI document, as a server hands it out at /openapi.json.
    #[command(hide = true)]
    Openapi,
}

#[derive(Debug, Subcommand)]
enum Emulator {
    /// A faithful Firebase Cloud Messaging.
    Fcm(fcm_emulator::cli::Args),
}

fn main() -> ExitCode {
    let parsed = help::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return failure::report_usage(&error, std::env::args().any(|word| word == "--json")),
    };
    let json = cli.json;
    match run(cli) {
        Ok(code) => code,
        Err(error) => failure::report(&error, json),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = Output::new(cli.json);
    runtime.block_on(async move {
        match cli.command {
            Command::Serve(args) => serve::run(args, output).await,
            Command::Send(args) => send::run(*args, output).await,
            Command::Status(args) => status::run(args, output).await,
            Command::Notifications(command) => notifications::run(command, output).await,
            Command::Deliveries(command) => deliveries::run(command, output).await,
            Command::Devices(command) => devices::run(command, output).await,
            Command::Users(command) => users::run(command, output).await,
            Command::DeadLetters(command) => dead_letters::run(command, output).await,
            Command::Keys(command) => keys::run(command, output).await,
            Command::Apps(command) => apps::run(command, output).await,
            Command::Stats(args) => stats::run(args, output).await,
            Command::Top(args) => top::run(args, output).await,
            Command::Config(command) => config::run(&command, output),
            Command::Emulator(Emulator::Fcm(args)) => {
                logging::start_plain()?;
                emulator::run(args).await
            }
            Command::Migrate(args) => migrate::run(args, output).await,
            Command::Backup(args) => backup::run(args, output).await,
            Command::Completions(args) => completions::run(&args, output),
            Command::Openapi => {
                output.print(&pabal_server::openapi())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::HelpMarkdown => {
                output.answer(&Value::Null, |_| help::page(help::command()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::help::command().debug_assert();
    }
}
