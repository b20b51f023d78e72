//! The binary `pabal`: runs the server, and speaks to one.
//!
//! `serve`, `config` and `emulator` work on this machine; everything else is a client of the HTTP API, so that it
//! shows what any client would see. The exit codes are part of the interface: see [`failure`].

mod client;
mod commands;
mod demo;
mod failure;
mod logging;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{config, emulator, send, serve, status};

/// Accepts notifications, delivers them, retries, and loses none.
#[derive(Debug, Parser)]
#[command(name = "pabal", version, after_help = EXIT_CODES)]
struct Cli {
    /// Answer with JSON on standard output, and with errors as JSON on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 unexpected failure, 2 wrong command line, 3 refused by the server, \
                          4 not now: the server can't be reached or can't do it, or a port or a database is taken, \
                          5 no such thing, 6 wrong configuration, or a file or an address that can't be used; \
                          130 and 143 ended at once by a second Ctrl-C or SIGTERM";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    #[command(after_help = EXIT_CODES)]
    Serve(serve::Args),
    /// Send a notification through a running server.
    #[command(after_help = EXIT_CODES)]
    Send(Box<send::Args>),
    /// Show whether a server is ready, or how a notification or a delivery stands.
    #[command(after_help = EXIT_CODES)]
    Status(status::Args),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Run a provider's stand-in on this machine.
    #[command(subcommand)]
    Emulator(Emulator),
}

#[derive(Debug, Subcommand)]
enum Emulator {
    /// A faithful Firebase Cloud Messaging.
    #[command(after_help = EXIT_CODES)]
    Fcm(fcm_emulator::cli::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
    runtime.block_on(async move {
        match cli.command {
            Command::Serve(args) => serve::run(args, cli.json).await,
            Command::Send(args) => send::run(*args, cli.json).await,
            Command::Status(args) => status::run(args, cli.json).await,
            Command::Config(command) => config::run(&command, cli.json),
            Command::Emulator(Emulator::Fcm(args)) => {
                logging::start_plain()?;
                emulator::run(args).await
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
