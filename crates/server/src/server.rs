//! A server from start to stop.
//!
//! Start: bind the port, open the backends, make the first key if there is none, start the engine, serve. Stop is the
//! same backwards: no more connections, requests finish, the engine drains, the store is closed.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pabal_core::chance::{Chance, SeededChance};
use pabal_core::clock::{Clock, SystemClock};
use pabal_core::seam::{History, Ledger, Store};
use pabal_engine::{Engine, Parts};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::api::{self, Api, Projects};
use crate::auth::{Gate, KeyBounds, Uses, UsesWriter};
use crate::config::Config;
use crate::keys;
use crate::limits;
use crate::listener::{Pair, Serving};
use crate::metrics::{Observer, Scrape};
use crate::shape::Misfit;
use crate::wiring::{self, ProjectReport};

/// How often to look whether the store is closed, and for how long at most.
const CLOSED_POLL: Duration = Duration::from_millis(1);
const CLOSED_DEADLINE: Duration = Duration::from_secs(5);

/// How often to look whether the engine has failed.
const BROKEN_POLL: Duration = Duration::from_secs(1);

/// Why a server does not start. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration turned out to be of no use.
    #[error("configuration: {0}")]
    Config(#[from] Misfit),
    /// The port can't be listened on.
    #[error("can't listen on {address}: {source}{}", hint(.source))]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A backend can't be opened, or does not answer.
    #[error("can't use {what}: {source}")]
    Backend {
        /// The key of the configuration and its URL without secrets.
        what: String,
        /// What the backend said.
        source: pabal_core::Error,
    },
}

pub(crate) fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            ". Another program listens there: stop it, or choose another port with listen (PABAL_LISTEN), \
             as 127.0.0.1:8081, or port 0 for a free one"
        }
        std::io::ErrorKind::PermissionDenied => ". Ports below 1024 need privileges: choose a higher one",
        std::io::ErrorKind::AddrNotAvailable => ". This machine has no such address: 0.0.0.0 is all it has",
        _ => "",
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// A server that runs. Dropped without [`Running::stop`], it stops where it is, as in a crash; nothing is lost.
pub struct Running {
    serving: Serving,
    engine: Arc<Engine>,
    uses: UsesWriter,
    observer: Observer,
    history: Arc<dyn History>,
    opened: Opened,
    first_key: Option<SecretString>,
    projects: Vec<ProjectReport>,
}

impl Server {
    /// Starts a server; it answers from the moment this returns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let chance: Arc<dyn Chance> = Arc::new(SeededChance::from_os());
        let listen = |source| StartError::Listen { address: config.listen, source };
        let pair = Pair::read(&config.tls)?;
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let wired = wiring::wire(&config, &clock, &chance).await?;
        let failed = |source| StartError::Backend {
            what: format!("store '{}'", wiring::shown(&config.store)),
            source,
        };

        let configured = config.api_key.as_ref().map(|key| keys::configured(key, clock.now()));
        let first_key = match configured {
            Some(_) => None,
            None => keys::first_key(&*wired.store, &*clock).await.map_err(failed)?,
        };
        let opened = Opened { ledger: Arc::downgrade(&wired.ledger), store: Arc::downgrade(&wired.store) };
        let parts = Parts {
            ledger: wired.ledger,
            pauses: wired.store.clone(),
            dead_letters: wired.store.clone(),
            retention: wired.store.clone(),
            channels: wired.channels,
            clock: Arc::clone(&clock),
            chance: Arc::clone(&chance),
        };
        let engine = Engine::start(parts, config.engine_config()?).await.map_err(failed)?;
        let engine = Arc::new(engine);
        let history: Arc<dyn History> = wired.store.clone();
        let observer = Observer::start(&engine, &wired.store, config.retention.disk_free_warn_bytes());
        let scrape = Scrape::new(&engine, clock.now());
        let uses = Arc::new(Uses::default());
        let uses_writer = uses.write_to(wired.store.clone());
        let bounds = KeyBounds {
            requests_in_flight: config.http.requests_in_flight_per_key_max,
            requests_per_second: config.http.requests_per_second_per_key,
        };
        let counted = scrape.http.clone();
        let router = api::router(Arc::new(Api {
            engine: Arc::clone(&engine),
            store: wired.store,
            clock: Arc::clone(&clock),
            chance,
            gate: Arc::new(Gate::new(configured, bounds, uses)),
            projects: Projects::new(&config.fcm),
            scrape,
            metrics_open: config.http.metrics_open,
            places: Arc::new(Semaphore::new(config.http.requests_in_flight_max)),
            batches: Arc::new(Semaphore::new(limits::BATCHES_IN_FLIGHT_MAX)),
            body_timeout: Duration::from_millis(config.http.body_timeout_ms),
            request_timeout: Duration::from_millis(config.http.request_timeout_ms),
            steps_time: config.http.steps_time(),
        }));
        let serving = Serving::start(listener, router, &config.http, counted, pair, clock).map_err(listen)?;
        tracing::info!(address = %serving.address, tls = serving.is_secured(), "listening");
        if !serving.is_secured() && !serving.address.ip().is_loopback() {
            tracing::warn!(
                address = %serving.address,
                "keys and messages go over the network without TLS: set tls.certificate and tls.key, or let nobody \
                 but a proxy that does TLS reach this address"
            );
        }
        let projects = wired.projects;
        Ok(Running { serving, engine, uses: uses_writer, observer, history, opened, first_key, projects })
    }
}

impl Running {
    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// The URL of the API, by its address.
    pub fn url(&self) -> String {
        let scheme = if self.serving.is_secured() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Whether TLS is spoken.
    pub fn is_secured(&self) -> bool {
        self.serving.is_secured()
    }

    /// Looks at the files of certificate and key now. What is wrong with them is in the log, and the old ones stay.
    pub fn reload(&self) {
        self.serving.reload();
    }

    /// The admin key that this start made, because there was none. It is shown once and kept nowhere.
    pub fn first_key(&self) -> Option<&SecretString> {
        self.first_key.as_ref()
    }

    /// Where each project sends.
    pub fn projects(&self) -> &[ProjectReport] {
        &self.projects
    }

    /// What happened so far, for programs that run a server inside themselves.
    pub fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.history)
    }

    /// Ends once a part of the engine has failed for good: nothing more is sent then, and only another start helps.
    pub async fn broken(&self) {
        while !self.engine.status().broken {
            tokio::time::sleep(BROKEN_POLL).await;
        }
    }

    /// Stops in order: no new connections, requests finish, attempts in flight finish and are settled, and the store is
    /// closed: another process may open it.
    pub async fn stop(self) {
        let Self { serving, engine, uses, observer, history, opened, .. } = self;
        serving.stop().await;
        uses.stop().await;
        observer.stop().await;
        engine.drain().await;
        drop((engine, history));
        opened.closed().await;
    }
}

/// What is open as long as anybody holds it.
struct Opened {
    ledger: Weak<dyn Ledger>,
    store: Weak<dyn Store>,
}

impl Opened {
    /// Waits until nobody holds it any more. The engine's tasks let go of it at their next turn.
    async fn closed(self) {
        let closed = async {
            while self.ledger.strong_count() + self.store.strong_count() > 0 {
                tokio::time::sleep(CLOSED_POLL).await;
            }
        };
        if tokio::time::timeout(CLOSED_DEADLINE, closed).await.is_err() {
            tracing::warn!("the store is still held by a task; it closes with the process");
        }
    }
}
