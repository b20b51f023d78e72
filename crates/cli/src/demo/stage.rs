//! The stage: an emulator that misbehaves, and a server that sends to it.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use fcm_emulator::{Emulator, FaultKind, Faults, Options, Range, Rates, TokenRule};
use pabal_core::route::Credential;
use pabal_server::config::ProjectSection;
use pabal_server::{Config, Running, Server, StartError};
use secrecy::{ExposeSecret, SecretString};

use super::folder::Folder;
use super::people::Fate;
use crate::client::ServerArgs;
use crate::commands::serve::explained;
use crate::failure::Failure;

/// The Firebase project that the emulator plays.
const PROJECT: &str = "pabal-demo";

/// Emulator and server.
pub(super) struct Stage {
    pub(super) emulator: Emulator,
    pub(super) running: Running,
    /// How to reach the server.
    pub(super) server: ServerArgs,
    /// Whether the usual port was taken.
    pub(super) on_another_port: bool,
}

impl Stage {
    pub(super) async fn set(folder: &Folder) -> Result<Self> {
        let key = folder.api_key()?;
        let emulator = start_emulator(folder).await?;
        let config = configuration(folder, &emulator, key.clone())?;
        let (running, on_another_port) = start_server(config).await?;
        let server = ServerArgs {
            url: format!("http://{}", running.address()),
            api_key: Some(key.expose_secret().to_owned()),
            ca: None,
        };
        Ok(Self { emulator, running, server, on_another_port })
    }

    /// Stops both: the server first, so that it can still settle what is under way.
    pub(super) async fn strike(self) {
        self.running.stop().await;
        self.emulator.stop().await;
    }
}

async fn start_emulator(folder: &Folder) -> Result<Emulator> {
    let options = Options {
        projects: vec![PROJECT.to_owned()],
        state_dir: Some(folder.emulator_state()),
        faults: misbehaviour(),
        ..Options::default()
    };
    Emulator::start(options).await.context("the FCM emulator does not start")
}

/// A bad day at the provider: throttling with Retry-After, outages, broken streams, answers that get lost, and devices
/// whose app is gone.
fn misbehaviour() -> Faults {
    let rule = |fate: Fate, answer, first| TokenRule {
        prefix: fate.prefix().to_owned(),
        answer,
        first,
        status: None,
    };
    Faults {
        rates: Rates {
            quota: 0.04,
            unavailable: 0.03,
            internal: 0.015,
            reset_before: 0.002,
            reset_after: 0.001,
            ..Rates::default()
        },
        retry_after_s: Some(Range { min: 1, max: 3 }),
        latency_ms: Some(Range { min: 5, max: 25 }),
        tokens: vec![
            rule(Fate::Gone, FaultKind::Unregistered, None),
            rule(Fate::Malformed, FaultKind::InvalidToken, None),
            rule(Fate::Broken, FaultKind::Internal, None),
            rule(Fate::Flaky, FaultKind::Unavailable, Some(2)),
        ],
        ..Faults::default()
    }
}

/// The usual configuration, but for a retry budget that is used up while somebody watches.
fn configuration(folder: &Folder, emulator: &Emulator, key: SecretString) -> Result<Config> {
    let service_account =
        folder.write_service_account(&format!("{:#}\n", emulator.service_account(PROJECT)))?;
    let mut config = Config {
        store: format!("sqlite://{}", folder.database().display()),
        api_key: Some(key),
        ..Config::default()
    };
    let project = ProjectSection { service_account, endpoint: Some(emulator.base_url()) };
    config.fcm.projects.insert(Credential::new(PROJECT)?, project);
    config.retry.attempts_max = 5;
    config.retry.backoff_cap_ms = 4000;
    config.retry.throttled_floor_ms = 3000;
    Ok(config)
}

/// Starts the server, on a free port where the usual one is taken.
async fn start_server(config: Config) -> Result<(Running, bool)> {
    match Server::start(config.clone()).await {
        Err(StartError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let started = Server::start(Config { listen, ..config }).await;
            Ok((started.map_err(|error| failed(&error))?, true))
        }
        started => Ok((started.map_err(|error| failed(&error))?, false)),
    }
}

fn failed(error: &StartError) -> anyhow::Error {
    match error {
        StartError::Backend { source, .. } if source.kind() == pabal_core::ErrorKind::Locked => {
            let problem = "another demo runs in this folder: stop it, or start this one elsewhere";
            Failure::Unavailable(problem.to_owned()).into()
        }
        _ => explained(error),
    }
}
