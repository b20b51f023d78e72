//! The stage: a folder with the server's files, and a provider that misbehaves.
//!
//! The emulator has threads of its own: what the harness does with databases must not slow it down, nor the other way
//! round. It lives through all kills, as Google does.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fcm_emulator::{Emulator, Faults, Options, Range, Rates};
use rand::Rng;
use rand::rngs::SmallRng;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::people::Fate;

/// The Firebase project that the emulator plays.
const PROJECT: &str = "kill-test";
/// Ports that systems give to nobody by themselves: the server's stays free between a kill and the next start.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Ports that are tried.
const PORT_TRIES: usize = 100;
/// The API key of the server.
const API_KEY: &str = "pabal_kill_test_0123456789abcdef";

/// Everything but the server. Its fields end in this order.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    _threads: Runtime,
    pub(crate) listen: SocketAddr,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn set(seed: u64, rng: &mut SmallRng) -> Result<Stage> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fcm-emulator")
            .enable_all()
            .build()?;
        let options = Options {
            projects: vec![PROJECT.to_owned()],
            faults: misbehaviour(),
            seed: Some(seed),
            ..Options::default()
        };
        let emulator = threads.block_on(Emulator::start(options)).context("the emulator does not start")?;
        let folder =
            tempfile::Builder::new().prefix("pabal-kill-").tempdir().context("no temporary folder")?;
        let stage = Stage { emulator, _threads: threads, listen: free_port(rng)?, folder };
        let account = stage.emulator.service_account(PROJECT).to_string();
        std::fs::write(stage.folder.path().join("service-account.json"), account)?;
        std::fs::write(stage.config(), stage.configuration()?)?;
        Ok(stage)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("pabal.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder().join("pabal.db")
    }

    /// The server's log, over all its lives.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    pub(crate) fn api_key(&self) -> &'static str {
        API_KEY
    }

    /// Leaves the folder behind, for a look at what went wrong.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// The engine, the store and its durability are the defaults. Only retries are faster and more than usual: the
    /// faults never end, so a delivery may fail many times by chance alone, and the run is to end soon.
    fn configuration(&self) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "listen = '{}'", self.listen)?;
        writeln!(text, "store = 'sqlite://pabal.db'")?;
        writeln!(text, "[retry]\nattempts_max = 1000\nbackoff_base_ms = 200\nbackoff_cap_ms = 2000")?;
        writeln!(text, "throttled_floor_ms = 1000")?;
        writeln!(text, "[log]\nlevel = 'warn'")?;
        writeln!(text, "[fcm.projects.{PROJECT}]\nservice_account = 'service-account.json'")?;
        writeln!(text, "endpoint = '{}'", self.emulator.base_url())?;
        Ok(text)
    }
}

/// A bad day at the provider. All of it is transient but the bad tokens; about one send in nine fails. The gateway's
/// page is rare because it asks for a wait of 30 s, which everything else then waits for in the end.
fn misbehaviour() -> Faults {
    Faults {
        rates: Rates {
            unavailable: 0.03,
            quota: 0.03,
            internal: 0.02,
            html_502: 0.001,
            reset_before: 0.01,
            reset_after: 0.005,
            refused_stream: 0.01,
            goaway: 0.002,
            ..Rates::default()
        },
        retry_after_s: Some(Range { min: 1, max: 2 }),
        latency_ms: Some(Range { min: 2, max: 30 }),
        tokens: Fate::rules(),
        ..Faults::default()
    }
}

fn free_port(rng: &mut SmallRng) -> Result<SocketAddr> {
    for _ in 0..PORT_TRIES {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rng.random_range(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port among {PORT_TRIES} of {PORTS:?}")
}
