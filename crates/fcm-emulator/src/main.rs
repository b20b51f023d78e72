//! The binary `fcm-emulator`: see [`fcm_emulator::cli`].

use std::process::ExitCode;

use clap::Parser;
use fcm_emulator::cli;
use tracing_subscriber::EnvFilter;

/// A faithful Firebase Cloud Messaging for laptops and CI.
#[derive(Parser)]
#[command(name = "fcm-emulator", version)]
struct Command {
    #[command(flatten)]
    args: cli::Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli::run(Command::parse().args).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fcm-emulator: {:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}
