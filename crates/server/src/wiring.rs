//! The one place that names backends and channels. Each is one arm of an exhaustive match here, and a folder.
//!
//! ```text
//!   store = "sqlite://…"   queue = (the store) ──► the backend's own ledger, one transaction a step
//!   store = "sqlite://…"   queue = "memory://" ──► the engine's composite over both
//! ```

pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use pabal_core::chance::Chance;
use pabal_core::clock::{Clock, SystemClock};
use pabal_core::route::{ChannelKind, Credential};
use pabal_core::seam::{Channel, Ledger, Store};
use pabal_core::{Error, ErrorKind};
use pabal_engine::Composite;
use pabal_fcm::{Endpoint, FcmChannel, FcmConfig, ProjectConfig, ProxyConfig, ServiceAccount};
use pabal_memory::MemoryQueue;
use pabal_sqlite::{AnchoredClock, Sqlite, SqliteConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use crate::config::{Config, FcmSection, ProjectSection};
use crate::listener::Pair;
use crate::preflight;
use crate::reach::Watched;
use crate::server::StartError;
use crate::shape::Misfit;

/// The parts that a server is made of.
pub(crate) struct Wired {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) channels: BTreeMap<ChannelKind, Arc<dyn Channel>>,
    pub(crate) projects: Vec<ProjectReport>,
}

/// Where a project sends: what `config check` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectReport {
    /// Its name in the configuration.
    pub name: Credential,
    /// Its id at Google.
    pub project_id: String,
    /// The service account it sends as.
    pub client_email: String,
    /// The URL of each message.
    pub sends_to: String,
    /// The proxy on the way there, without its password.
    pub sends_through: Option<String>,
    /// The URL that gives access tokens.
    pub tokens_from: String,
    /// The proxy on the way there, without its password.
    pub tokens_through: Option<String>,
}

/// The stores that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoreUrl {
    Sqlite(SqliteConfig),
}

/// The queues that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum QueueUrl {
    Memory,
}

/// Opens everything that the configuration names.
pub(crate) async fn wire(
    config: &Config,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
) -> Result<Wired, StartError> {
    let (store_url, queue_url) = urls(config)?;
    store_url.look()?;
    let (channels, projects) = channels(config, clock, chance)?;
    let (own_ledger, store) = match store_url {
        StoreUrl::Sqlite(sqlite) => open_sqlite(sqlite, clock, chance).await.map_err(|source| {
            StartError::Backend { what: format!("store '{}'", shown(&config.store)), source }
        })?,
    };
    let ledger = match queue_url {
        None => own_ledger,
        Some(QueueUrl::Memory) => {
            let queue = Arc::new(MemoryQueue::new(Arc::clone(clock)));
            Arc::new(Composite::new(queue, store.clone(), Arc::clone(chance)))
        }
    };
    Ok(Wired { ledger, store, channels, projects })
}

/// Opens a SQLite file, off the async threads: it may have to replay a log.
async fn open_sqlite(
    sqlite: SqliteConfig,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
) -> pabal_core::Result<(Arc<dyn Ledger>, Arc<dyn Store>)> {
    let clock: Arc<dyn Clock> = Arc::new(AnchoredClock::new(Arc::clone(clock)));
    let chance = Arc::clone(chance);
    let opening = tokio::task::spawn_blocking(move || Sqlite::open(&sqlite, clock, chance));
    let opened = opening.await.map_err(|error| {
        Error::new(ErrorKind::Unexpected, "open", "the opening was cut off").with_source(error)
    })??;
    Ok((Arc::new(opened.ledger()), Arc::new(opened.store())))
}

/// What is taken at the moment: by the server, if it runs already, and then no reason to change anything.
pub fn taken(config: &Config) -> Vec<String> {
    let mut taken = Vec::new();
    if let Ok((StoreUrl::Sqlite(sqlite), _)) = urls(config)
        && preflight::is_sqlite_held(&sqlite.path)
    {
        taken.push(format!("a running server holds {}", sqlite.path.display()));
    }
    if preflight::check_listen(config.listen) == Ok(true) {
        taken.push(format!("a running program listens on {}", config.listen));
    }
    taken
}

/// The certificate that the API would be served with: what `config check` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateReport {
    /// Its file.
    pub path: PathBuf,
    /// The end of its validity, as far as it can be read.
    pub expires_at: Option<String>,
    /// Whether that has passed.
    pub is_expired: bool,
}

/// The certificate, if TLS is configured and a server could start with it; why it could not, [`inspect`] says.
pub fn certificate(config: &Config) -> Option<CertificateReport> {
    let pair = Pair::read(&config.tls).ok().flatten()?;
    let path = config.tls.certificate.clone()?;
    let is_expired = pair.not_after.is_some_and(|at| at <= SystemClock.now());
    Some(CertificateReport { path, expires_at: pair.expires_at(), is_expired })
}

/// Looks at everything that a start would look at before it opens anything: one result for each part.
pub fn inspect(config: &Config) -> Vec<Result<ProjectReport, Misfit>> {
    let mut found: Vec<_> =
        urls(config).and_then(|(store, _)| store.look()).err().into_iter().map(Err).collect();
    found.extend(preflight::check_listen(config.listen).err().map(Err));
    if let Some(Err(misfit)) = config.fcm.extra_ca.as_deref().map(extra_ca) {
        found.push(Err(misfit));
    }
    found.extend(Pair::read(&config.tls).err().map(Err));
    found.extend(at_least_one_project(&config.fcm).err().map(Err));
    let proxy = proxy(&config.fcm).unwrap_or_else(|misfit| {
        found.push(Err(misfit));
        None
    });
    for (name, section) in &config.fcm.projects {
        let way = FcmConfig { proxy: proxy.clone(), ..FcmConfig::default() };
        let alone = |project| way.with_project(name.clone(), project);
        found.extend(match project(name, section) {
            Ok(project) => reports(&alone(project)).into_iter().map(Ok).collect(),
            Err(misfit) => vec![Err(misfit)],
        });
    }
    found
}

type Channels = BTreeMap<ChannelKind, Arc<dyn Channel>>;

fn channels(
    config: &Config,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
) -> Result<(Channels, Vec<ProjectReport>), Misfit> {
    at_least_one_project(&config.fcm)?;
    let mut fcm = FcmConfig { proxy: proxy(&config.fcm)?, ..FcmConfig::default() };
    if let Some(path) = &config.fcm.extra_ca {
        fcm.extra_ca = extra_ca(path)?;
    }
    for (name, section) in &config.fcm.projects {
        fcm = fcm.with_project(name.clone(), project(name, section)?);
    }
    let projects = reports(&fcm);
    let channel = FcmChannel::new(&fcm, Arc::clone(clock), Arc::clone(chance))
        .map_err(|error| Misfit::value("fcm", error.to_string()))?;
    let channel: Arc<dyn Channel> = Arc::new(Watched::new(ChannelKind::Fcm, Arc::new(channel)));
    Ok((Channels::from([(ChannelKind::Fcm, channel)]), projects))
}

fn at_least_one_project(fcm: &FcmSection) -> Result<(), Misfit> {
    if !fcm.projects.is_empty() {
        return Ok(());
    }
    let problem = "there is none, so nothing could be sent: add [fcm.projects.NAME] with its service_account, or \
                   look around with 'pabal serve --demo'";
    Err(Misfit::value("fcm.projects", problem))
}

fn project(name: &Credential, section: &ProjectSection) -> Result<ProjectConfig, Misfit> {
    let at = |key: &str| format!("fcm.projects.{name}.{key}");
    let path = section.service_account.display();
    let json = std::fs::read_to_string(&section.service_account)
        .map_err(|error| Misfit::value(at("service_account"), format!("can't read {path}: {error}")))?;
    let account = ServiceAccount::parse(&json)
        .map_err(|error| Misfit::value(at("service_account"), format!("{path}: {error}")))?;
    let project = ProjectConfig::new(account);
    match &section.endpoint {
        None => Ok(project),
        Some(text) => {
            let endpoint: Endpoint = text
                .parse()
                .map_err(|error: pabal_fcm::ConfigError| Misfit::value(at("endpoint"), error.problem))?;
            Ok(project.with_endpoint(endpoint))
        }
    }
}

fn proxy(fcm: &FcmSection) -> Result<Option<ProxyConfig>, Misfit> {
    let Some(setting) = &fcm.proxy else { return Ok(None) };
    let proxy: Result<ProxyConfig, pabal_fcm::ConfigError> = setting.url.expose_secret().parse();
    let proxy = proxy.map_err(|error| Misfit::value(&setting.named_by, error.problem))?;
    let Ok(except) = setting.except.parse();
    Ok(Some(proxy.with_exceptions(except)))
}

fn extra_ca(path: &Path) -> Result<Vec<CertificateDer<'static>>, Misfit> {
    let refuse = |problem: String| Misfit::value("fcm.extra_ca", format!("{}: {problem}", path.display()));
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refuse(format!("can't be read as PEM: {error}")))?;
    if certificates.is_empty() { Err(refuse("holds no certificate".to_owned())) } else { Ok(certificates) }
}

fn reports(fcm: &FcmConfig) -> Vec<ProjectReport> {
    let report = |project: pabal_fcm::ProjectDescription| ProjectReport {
        name: project.name,
        project_id: project.project_id,
        client_email: project.client_email,
        sends_to: project.sends_to,
        sends_through: project.sends_through,
        tokens_from: project.tokens_from,
        tokens_through: project.tokens_through,
    };
    fcm.describe().into_iter().map(report).collect()
}

fn urls(config: &Config) -> Result<(StoreUrl, Option<QueueUrl>), Misfit> {
    let store = config.store.parse().map_err(|problem: String| Misfit::value("store", problem))?;
    let queue = config.queue.as_deref().map(str::parse).transpose();
    Ok((store, queue.map_err(|problem: String| Misfit::value("queue", problem))?))
}

impl StoreUrl {
    /// Looks at the store's place without opening anything.
    fn look(&self) -> Result<(), Misfit> {
        match self {
            StoreUrl::Sqlite(sqlite) => preflight::check_sqlite(&sqlite.path),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;
    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once("://") {
            Some(("sqlite", rest)) => sqlite_url(rest).map(Self::Sqlite),
            _ => Err(unknown(url, "a store", "sqlite://PATH")),
        }
    }
}

fn sqlite_url(rest: &str) -> Result<SqliteConfig, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("has no path; write sqlite://pabal.db or sqlite:///var/lib/pabal.db".to_owned());
    }
    let mut sqlite = SqliteConfig::at(path);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number: u32 = match value.parse() {
            Ok(number) if number > 0 => number,
            _ => return Err(format!("has the option {name} without a number above 0")),
        };
        match &*name {
            "pages_max" => sqlite.pages_max = Some(number),
            "readers" => sqlite.readers = number as usize,
            _ => return Err(format!("has the option {name}, which is none of pages_max, readers")),
        }
    }
    Ok(sqlite)
}

impl FromStr for QueueUrl {
    type Err = String;
    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once("://") {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err("takes nothing after memory://".to_owned()),
            _ => Err(unknown(url, "a queue", "memory:// (for tests); leave it out to queue in the store")),
        }
    }
}

/// A URL without the user and password that it may hold.
pub fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://…@{host}{path}"),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    }
}

/// Names the scheme alone: the rest of a URL may hold a password.
fn unknown(url: &str, what: &str, there_is: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) => format!("'{scheme}://' is not {what} here; there is {there_is}"),
        None => format!("is no URL; there is {there_is}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_choose_backends() {
        assert_eq!("sqlite://pabal.db".parse(), Ok(StoreUrl::Sqlite(SqliteConfig::at("pabal.db"))));
        assert_eq!("sqlite:///var/lib/p.db".parse(), Ok(StoreUrl::Sqlite(SqliteConfig::at("/var/lib/p.db"))));
        let bounded = SqliteConfig { pages_max: Some(9), ..SqliteConfig::at("p.db") };
        assert_eq!("sqlite://p.db?pages_max=9".parse(), Ok(StoreUrl::Sqlite(bounded)));
        assert_eq!("memory://".parse(), Ok(QueueUrl::Memory));
    }

    #[test]
    fn no_url_shows_its_password() {
        assert_eq!(shown("sqlite://a@b/pabal.db"), "sqlite://…@b/pabal.db");
        assert_eq!(shown("postgres://user:p@ss@host:5432/db"), "postgres://…@host:5432/db");
        assert_eq!(shown("sqlite:///var/lib/pabal.db"), "sqlite:///var/lib/pabal.db");
    }

    #[test]
    fn unknown_schemes_name_what_there_is_and_no_password() {
        let store = |url: &str| url.parse::<StoreUrl>().unwrap_err();
        assert_eq!(store("mysql://u:pw@h/d"), "'mysql://' is not a store here; there is sqlite://PATH");
        assert_eq!(store("pabal.db"), "is no URL; there is sqlite://PATH");
        assert!(store("sqlite://").starts_with("has no path"));
        assert_eq!(store("sqlite://p?pages=1"), "has the option pages, which is none of pages_max, readers");
        assert_eq!(store("sqlite://p?pages_max=x"), "has the option pages_max without a number above 0");
        let queue = "redis://:pw@h".parse::<QueueUrl>().unwrap_err();
        assert!(queue.starts_with("'redis://' is not a queue here; there is memory://"), "{queue}");
        assert!(!queue.contains("pw"));
    }
}
