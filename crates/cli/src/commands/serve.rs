//! `pabal serve`: the server, until it is asked to stop.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use pabal_server::config::{LogFormat, LogSection};
use pabal_server::{Config, Running, Server, StartError};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::signals::{Hangups, Signals};
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
    #[command(flatten)]
    log: LogArgs,
}

/// What is logged, and how.
#[derive(Debug, Default, clap::Args)]
struct LogArgs {
    /// What is logged, on standard error: a level, or a filter as info,pabal_engine=debug. Wins over PABAL_LOG_LEVEL
    /// and the file.
    #[arg(long, value_name = "FILTER", value_parser = log_level, conflicts_with = "demo")]
    log_level: Option<String>,
    /// The form of a log line: text for people, json for collectors. Wins over PABAL_LOG_FORMAT and the file.
    #[arg(long, value_name = "FORMAT", conflicts_with = "demo")]
    log_format: Option<LogForm>,
}

/// The form of a log line, on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogForm {
    Text,
    Json,
}

impl LogArgs {
    /// Lays what the command line says over what is configured.
    fn lay_over(self, log: &mut LogSection) {
        if let Some(level) = self.log_level {
            log.level = level;
        }
        match self.log_format {
            Some(LogForm::Text) => log.format = LogFormat::Text,
            Some(LogForm::Json) => log.format = LogFormat::Json,
            None => {}
        }
    }
}

fn log_level(text: &str) -> Result<String, String> {
    let section = LogSection { level: text.to_owned(), ..LogSection::default() };
    section.filter().map(|_| text.to_owned()).map_err(|misfit| misfit.to_string())
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    if args.demo {
        return demo::run(output.is_json()).await;
    }
    let mut config = load(args.config.as_deref(), output)?;
    args.log.lay_over(&mut config.log);
    logging::start(&config.log)?;
    let key_from = config.api_key.is_some().then(key_origin);
    let running = Server::start(config).await.map_err(|error| explained(&error))?;
    let mut signals = Signals::listen()?;
    // Without TLS there is nothing to read anew, and a terminal that is closed ends the server, as ever. Before the
    // greeting: whoever has read it may send one.
    let mut hangups = if running.is_secured() { Hangups::listen()? } else { Hangups::none() };
    if let Err(error) = greet(&running, key_from, output) {
        // Nobody reads it: no reason not to serve.
        tracing::warn!(%error, "the greeting could not be printed");
    }
    let broken = loop {
        tokio::select! {
            biased;
            asked = signals.stop_asked() => break asked.map(|()| false)?,
            () = running.broken() => break true,
            () = hangups.next() => running.reload(),
        }
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
pub(crate) fn load(file: Option<&Path>, output: Output) -> Result<Config, Failure> {
    if file.is_none() && Path::new(USUAL_FILE).exists() {
        output.note(&format!("there is a {USUAL_FILE} here, and it is not read: add --config {USUAL_FILE}"));
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

fn greet(running: &Running, key_from: Option<&str>, output: Output) -> Result<()> {
    let url = running.url();
    let first_key = running.first_key().map(|key| key.expose_secret().to_owned());
    let greeting = json!({ "url": url, "first_key": first_key, "admin_key_from": key_from });
    output.answer(&greeting, |_| {
        let mut text = format!("Pabal listens on {url}\n");
        for project in running.projects() {
            let (name, to, as_whom) = (&project.name, &project.sends_to, &project.client_email);
            text += &format!("Project {name} sends to {to} as {as_whom}\n");
        }
        if let Some(origin) = key_from {
            text += &format!("Admin key: from {origin}\n");
        }
        if let Some(key) = first_key {
            text += "\nThis is the first admin key. It is shown this once and kept nowhere:\n\n";
            text += &format!("    {key}\n\nUse it as  export PABAL_API_KEY={key}\n");
        }
        text
    })
}
