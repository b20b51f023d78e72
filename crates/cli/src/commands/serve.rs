//! `pabal serve`: the server, until it is asked to stop.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use pabal_server::{Config, Running, Server, StartError};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::failure::Failure;
use crate::signals::Signals;
use crate::{demo, logging};

/// What a configuration file is usually called. It is never read unasked.
const USUAL_FILE: &str = "pabal.toml";

/// How long the stop of a server whose engine has failed may take.
const BROKEN_STOP_MAX: Duration = Duration::from_secs(10);

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
    let config = load(args.config.as_deref(), json)?;
    logging::start(&config.log)?;
    let key_from = config.api_key.is_some().then(key_origin);
    let running = Server::start(config).await.map_err(|error| explained(&error))?;
    let mut signals = Signals::listen()?;
    greet(&running, key_from, json);
    let broken = tokio::select! {
        biased;
        asked = signals.stop_asked() => asked.map(|()| false)?,
        () = running.broken() => true,
    };
    signals.end_at_the_next();
    if broken {
        // What has failed may be what a stop waits for.
        if tokio::time::timeout(BROKEN_STOP_MAX, running.stop()).await.is_err() {
            tracing::warn!("the engine does not come to an end; ending without it");
        }
        return Err(anyhow::anyhow!(
            "a part of the engine has failed, the log says which: ended, so that whoever supervises this server starts \
             it anew. What was accepted is kept"
        ));
    }
    tracing::info!(
        "stopping: requests and attempts under way finish first; asked once more, it ends at once"
    );
    running.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The configuration of a file and the environment.
pub(crate) fn load(file: Option<&Path>, json: bool) -> Result<Config, Failure> {
    if !json && file.is_none() && Path::new(USUAL_FILE).exists() {
        eprintln!("pabal: there is a {USUAL_FILE} here, and it is not read: add --config {USUAL_FILE}");
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(file, variables).map_err(|error| Failure::Configuration(error.to_string()))
}

/// A start that failed, with the exit code of its cause.
pub(crate) fn explained(error: &StartError) -> anyhow::Error {
    match error {
        StartError::Config(_) => Failure::Configuration(error.to_string()).into(),
        StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
            Failure::Unavailable(error.to_string()).into()
        }
        StartError::Listen { .. } => Failure::Configuration(error.to_string()).into(),
        StartError::Backend { source, .. } if source.is_temporary() => {
            Failure::Unavailable(error.to_string()).into()
        }
        StartError::Backend { source, .. } if source.kind() == pabal_core::ErrorKind::Unexpected => {
            anyhow::anyhow!("{error}")
        }
        StartError::Backend { .. } => Failure::Configuration(error.to_string()).into(),
    }
}

/// Where the configured key comes from. A variable wins over the file, and both variables together are refused.
fn key_origin() -> &'static str {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    ["PABAL_API_KEY", "PABAL_API_KEY_FILE"]
        .into_iter()
        .find(|name| is_set(name))
        .unwrap_or("api_key in the configuration file")
}

fn greet(running: &Running, key_from: Option<&str>, json: bool) {
    let url = format!("http://{}", running.address());
    let first_key = running.first_key().map(|key| key.expose_secret().to_owned());
    if json {
        println!("{}", json!({ "url": url, "first_key": first_key, "admin_key_from": key_from }));
        return;
    }
    println!("Pabal listens on {url}");
    for project in running.projects() {
        println!("Project {} sends to {} as {}", project.name, project.sends_to, project.client_email);
    }
    if let Some(origin) = key_from {
        println!("Admin key: from {origin}");
    }
    if let Some(key) = first_key {
        println!("\nThis is the first admin key. It is shown this once and kept nowhere:\n\n    {key}\n");
        println!("Use it as  export PABAL_API_KEY={key}");
    }
}
