//! `pabal serve`: the server, until it is asked to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use pabal_server::{Config, Running, Server, StartError};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::failure::Failure;
use crate::{demo, logging, signals};

/// Run the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration file. Every key can also be given as a PABAL_… variable.
    #[arg(long, env = "PABAL_CONFIG", value_name = "FILE", conflicts_with = "demo")]
    config: Option<PathBuf>,
    /// Try everything on this machine: an FCM emulator, 2,000 people and 20,000 notifications. Keeps its data in
    /// ./pabal-demo.
    #[arg(long)]
    demo: bool,
}

pub(crate) async fn run(args: Args, json: bool) -> Result<ExitCode> {
    if args.demo {
        return demo::run(json).await;
    }
    let config = load(args.config.as_deref())?;
    logging::start(&config.log)?;
    let running = Server::start(config).await.map_err(|error| explained(&error))?;
    greet(&running, json);
    signals::stop_asked().await?;
    tracing::info!("stopping: requests and attempts under way finish first");
    running.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The configuration of a file and the environment.
pub(crate) fn load(file: Option<&std::path::Path>) -> Result<Config, Failure> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(file, variables).map_err(|error| Failure::Configuration(error.to_string()))
}

/// A start that failed, with the exit code of its cause.
pub(crate) fn explained(error: &StartError) -> anyhow::Error {
    match error {
        StartError::Config(_) => Failure::Configuration(error.to_string()).into(),
        StartError::Listen { .. } | StartError::Backend { .. } => {
            Failure::Unavailable(error.to_string()).into()
        }
    }
}

fn greet(running: &Running, json: bool) {
    let url = format!("http://{}", running.address());
    let first_key = running.first_key().map(|key| key.expose_secret().to_owned());
    if json {
        println!("{}", json!({ "url": url, "first_key": first_key }));
        return;
    }
    println!("Pabal listens on {url}");
    for project in running.projects() {
        println!("Project {} sends to {} as {}", project.name, project.sends_to, project.client_email);
    }
    if let Some(key) = first_key {
        println!("\nThis is the first admin key. It is shown this once and kept nowhere:\n\n    {key}\n");
        println!("Use it as  export PABAL_API_KEY={key}");
    }
}
