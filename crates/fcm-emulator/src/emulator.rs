//! The emulator as a library: start it, point a client at it, ask it what it got.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::faults::{Faults, FaultsError};
use crate::identity::{Account, Authority, IdentityError, StateDir};
use crate::inbox::{Counts, ReceivedId, ReceivedMessage};
use crate::limits::{MAX_CONNECTIONS, MAX_PROJECTS};
use crate::schema::{Schema, SchemaError};
use crate::server::{Listening, listen};
use crate::state::{Beginnings, State};
use crate::topics::TopicSubscription;

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a certificate of the emulator's own authority rather than cleartext.
    pub tls: bool,
    /// Project ids; each gets its service account.
    pub projects: Vec<String>,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// Seed of chance, so that a run can be replayed; random if absent.
    pub seed: Option<u64>,
    /// Folder that keeps service accounts and authority over restarts; a new identity at each start if absent.
    pub state_dir: Option<PathBuf>,
    /// Life of access tokens in seconds, as told in `expires_in`. Google's own was seen to be 3,599.
    pub token_lifetime_s: u32,
    /// Connections served at once; further ones wait.
    pub max_connections: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: false,
            projects: vec!["demo".to_owned()],
            faults: Faults::default(),
            seed: None,
            state_dir: None,
            token_lifetime_s: 3_599,
            max_connections: MAX_CONNECTIONS,
        }
    }
}

/// The emulator can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address isn't loopback. Whoever reaches the emulator may read every message and set every fault.
    #[error(
        "{0} is not a loopback address: the emulator has no access control, so it listens on 127.0.0.1 or ::1 only"
    )]
    NotLoopback(SocketAddr),
    /// The system refuses the address.
    #[error("cannot listen on {address}{}", hint(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Keys or certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Faults that can't be.
    #[error("the faults are refused")]
    Faults(#[from] FaultsError),
    /// The embedded discovery document.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The task that makes keys was cancelled with its runtime.
    #[error("the runtime is shutting down")]
    Cancelled,
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program listens there; choose another port, or 0 for a free one"
        }
        std::io::ErrorKind::PermissionDenied => ": ports below 1024 need privileges; choose a higher one",
        _ => "",
    }
}

/// Fewer sends than waited for were accepted in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} accepted sends were waited for, {} came within {deadline:?}", counts.accepted)]
pub struct WaitError {
    /// Accepted sends waited for.
    pub wanted: u64,
    /// How long.
    pub deadline: Duration,
    /// What had come by then.
    pub counts: Counts,
}

/// A running emulator. Dropping it stops it in the background; [`Emulator::stop`] waits until it has.
pub struct Emulator {
    state: Arc<State>,
    address: SocketAddr,
    ca_pem: Option<String>,
    listening: Listening,
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("base_url", &self.state.base_url).finish_non_exhaustive()
    }
}

impl Emulator {
    /// Starts listening; answers are given from the moment this returns. Makes an RSA key for each project that has
    /// none kept, which takes a moment.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Emulator, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        options.faults.validate()?;
        let schema = Schema::load()?;
        let listen_error = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let (projects, state_dir, tls) = (options.projects, options.state_dir, options.tls);
        let identity =
            tokio::task::spawn_blocking(move || Identity::load(&projects, state_dir.as_deref(), tls))
                .await
                .map_err(|_| StartError::Cancelled)??;
        let scheme = if options.tls { "https" } else { "http" };
        let state = Arc::new(State::new(Beginnings {
            base_url: format!("{scheme}://{address}"),
            accounts: identity.accounts,
            token_lifetime_s: options.token_lifetime_s,
            schema,
            faults: options.faults,
            seed: options.seed,
        }));
        let (ca_pem, acceptor) = identity.tls.unzip();
        let listening = listen(listener, acceptor, options.max_connections, Arc::clone(&state));
        Ok(Emulator { state, address, ca_pem, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:9099`, without a slash at the end; `https` with TLS.
    pub fn base_url(&self) -> String {
        self.state.base_url.clone()
    }

    /// The projects served.
    pub fn projects(&self) -> Vec<String> {
        self.state.project_ids().into_iter().map(str::to_owned).collect()
    }

    /// The service-account file of a project, whose `token_uri` is this emulator's. `Value::Null` for a project that
    /// isn't served.
    pub fn service_account(&self, project: &str) -> Value {
        self.service_account_with(project, &format!("{}/token", self.state.base_url))
    }

    /// The same with another `token_uri`: Google's own, for clients that reach the emulator under Google's names, or
    /// a proxy's.
    pub fn service_account_with(&self, project: &str, token_uri: &str) -> Value {
        match self.state.project(project) {
            Some(index) => self.state.accounts[index].to_json(token_uri),
            None => Value::Null,
        }
    }

    /// The authority's certificate, which clients must trust; none without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Puts other faults in force; quota buckets are full again and `first` counts anew.
    ///
    /// # Errors
    ///
    /// The key whose value can't be; the faults in force stay.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.state.set_faults(faults)
    }

    /// The faults in force.
    pub fn faults(&self) -> Faults {
        self.state.faults().faults().clone()
    }

    /// How much was accepted; exact.
    pub fn count(&self) -> Counts {
        self.state.inbox.count()
    }

    /// Up to `limit` messages after a cursor (0 for the first), oldest first, of those whose bodies are kept; fewer
    /// where they have more than [`crate::limits::MAX_LIST_BYTES`].
    pub fn messages(&self, after: u64, limit: usize) -> Vec<ReceivedMessage> {
        self.state.inbox.messages(after, limit, &self.state.project_ids()).items
    }

    /// Up to `limit` (target, `pabal_id`) pairs after a cursor (0 for the first), oldest first, duplicates included.
    pub fn ids(&self, after: u64, limit: usize) -> Vec<ReceivedId> {
        self.state.inbox.ids(after, limit).items
    }

    /// Up to `limit` topic subscriptions after a cursor (0 for the first), in the order they were made.
    pub fn subscriptions(&self, after: u64, limit: usize) -> Vec<TopicSubscription> {
        self.state.subscriptions.list(after, limit, &self.state.project_ids()).items
    }

    /// Waits until so many sends were accepted since the start or the last clear.
    ///
    /// # Errors
    ///
    /// The deadline passed first; the error tells what had come.
    pub async fn wait_for(&self, accepted: u64, deadline: Duration) -> Result<Counts, WaitError> {
        let came = self.state.inbox.wait_for(accepted, deadline).await;
        let counts = self.count();
        if came { Ok(counts) } else { Err(WaitError { wanted: accepted, deadline, counts }) }
    }

    /// Forgets all messages and counts. Cursors go on from where they were.
    pub fn clear(&self) {
        self.state.inbox.clear();
    }

    /// Shifts the clock that judges `iat`, `exp` and access tokens, and that answers' `Date` header tells.
    pub fn set_clock_offset(&self, offset_s: i64) {
        self.state.clock.set_offset_s(offset_s);
    }

    /// Ends all access tokens: the next send is answered 401 until the client has a new one.
    pub fn expire_tokens(&self) {
        self.state.grants.expire_all();
    }

    /// Requests to the token endpoint so far.
    pub fn oauth_requests(&self) -> u64 {
        self.state.oauth_requests.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Closes the listener and every connection, in the middle of whatever they do. The port is free afterwards.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

/// Everything that needs keys.
struct Identity {
    accounts: Vec<Account>,
    /// The authority's certificate, and what accepts TLS connections.
    tls: Option<(String, TlsAcceptor)>,
}

impl Identity {
    fn load(projects: &[String], state_dir: Option<&Path>, tls: bool) -> Result<Identity, IdentityError> {
        if !(1..=MAX_PROJECTS).contains(&projects.len()) {
            return Err(IdentityError::ProjectCount(projects.len()));
        }
        let dir = StateDir::open(state_dir)?;
        let mut accounts: Vec<Account> = Vec::with_capacity(projects.len());
        for project in projects {
            if accounts.iter().any(|account| account.project_id == *project) {
                return Err(IdentityError::DuplicateProject(project.clone()));
            }
            accounts.push(dir.account(project)?);
        }
        let tls = if tls { Some(acceptor(dir.authority()?)?) } else { None };
        Ok(Identity { accounts, tls })
    }
}

fn acceptor(authority: Authority) -> Result<(String, TlsAcceptor), IdentityError> {
    let config = authority.server_config()?;
    Ok((authority.certificate_pem, TlsAcceptor::from(Arc::new(config))))
}
