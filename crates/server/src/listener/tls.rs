//! Certificate and key of the listener, read anew when their files change, without a restart: whatever renews them
//! only has to replace the files.
//!
//! ```text
//!   look every few seconds, or when asked ──► changed, and still the same at the next look? ──► a pair that fits?
//!        ▲                                                                         │ yes: new connections get it
//!        └─────────────────────────────────────────────────────────────────────────┴ no: ERROR, the old one stays
//! ```
//!
//! Two files are never replaced at the same moment. So what changed is judged once it has stayed the same for a look;
//! who asks for it is not made to wait. Connections that are open go on with what they began with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pabal_core::clock::{Clock, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::validity;
use crate::config::TlsSection;
use crate::shape::Misfit;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So long before its end a certificate is spoken of in the log.
const EXPIRES_SOON_MS: u64 = 7 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// What is spoken, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where certificate and key lie.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// A certificate and its key, read from their files and fit for each other.
pub(crate) struct Pair {
    files: Files,
    config: Arc<ServerConfig>,
    mark: Mark,
    /// Until when the certificate is valid, as far as that can be read.
    pub(crate) not_after: Option<Timestamp>,
}

/// What tells two states of the files apart, and holds nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    Read([u8; 32]),
    Unreadable(String),
}

/// What is spoken at the moment, and the task that keeps it so.
pub(crate) struct Tls {
    current: watch::Receiver<Arc<ServerConfig>>,
    asked: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Pair {
    /// Reads the files that the configuration names, if it names any.
    pub(crate) fn read(section: &TlsSection) -> Result<Option<Self>, Misfit> {
        let (Some(certificate), Some(key)) = (&section.certificate, &section.key) else { return Ok(None) };
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let (contents, mark) = files.look();
        contents.and_then(|contents| Self::fit(files, &contents, mark)).map(Some)
    }

    /// The end of the certificate's validity, for people.
    pub(crate) fn expires_at(&self) -> Option<String> {
        self.not_after.map(shown)
    }

    fn fit(files: Files, contents: &Contents, mark: Mark) -> Result<Self, Misfit> {
        let chain = chain(&files.certificate, &contents.certificate)?;
        let not_after = chain.first().and_then(|own| validity::not_after(own));
        let config = server_config(&files, chain, private_key(&files.key, &contents.key)?)?;
        Ok(Self { files, config, mark, not_after })
    }
}

/// The bytes of both files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn look(&self) -> (Result<Contents, Misfit>, Mark) {
        let read = |key: &str, path: &Path| {
            std::fs::read(path).map_err(|error| at(key, path, &format!("can't be read: {error}")))
        };
        let contents = read("tls.certificate", &self.certificate)
            .and_then(|certificate| Ok(Contents { certificate, key: read("tls.key", &self.key)? }));
        let mark = match &contents {
            Ok(contents) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&(contents.certificate.len() as u64).to_be_bytes());
                hasher.update(&contents.certificate).update(&contents.key);
                Mark::Read(*hasher.finalize().as_bytes())
            }
            Err(misfit) => Mark::Unreadable(misfit.to_string()),
        };
        (contents, mark)
    }
}

fn at(key: &str, path: &Path, problem: &str) -> Misfit {
    Misfit::value(key, format!("{} {problem}", path.display()))
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Misfit> {
    let refuse = |problem: &str| at("tls.certificate", path, problem);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| refuse(&format!("is damaged PEM: {error}")))?;
    if chain.is_empty() {
        return Err(refuse("holds no certificate in PEM, as -----BEGIN CERTIFICATE-----"));
    }
    Ok(chain)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Misfit> {
    let refuse = |problem: &str| Err(at("tls.key", path, problem));
    let holds = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
    if holds("-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds("Proc-Type: 4,ENCRYPTED") {
        return refuse(
            "is locked with a password: unlock it with 'openssl pkey -in LOCKED -out KEY', and let nobody else read it",
        );
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => {
            refuse("holds no private key in PEM, as -----BEGIN PRIVATE KEY-----")
        }
        // The error's own words may quote the line.
        Err(_) => refuse("is damaged PEM"),
    }
}

fn server_config(
    files: &Files,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Misfit> {
    let no_certificate = |error: &rustls::Error| {
        at("tls.certificate", &files.certificate, &format!("holds no certificate that can be used: {error}"))
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| no_certificate(&error))?
        .with_no_client_auth();
    if provider().key_provider.load_private_key(key.clone_key()).is_err() {
        return Err(at(
            "tls.key",
            &files.key,
            "holds a private key of a kind that can't be used; ECDSA P-256 and RSA 2048 can",
        ));
    }
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let certificate = files.certificate.display();
            at("tls.key", &files.key, &format!("is not the key of the certificate in {certificate}"))
        }
        error => no_certificate(&error),
    })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Named, not the process's default: nothing here depends on who installs one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Tls {
    /// Begins to look after the files.
    pub(super) fn start(pair: Pair, clock: Arc<dyn Clock>) -> Self {
        let (sender, current) = watch::channel(Arc::clone(&pair.config));
        let asked = Arc::new(Notify::new());
        let keeper = Keeper { pair, refused: None, warned_at: None, clock, sender };
        let task = tokio::spawn(keeper.keep(Arc::clone(&asked)));
        Self { current, asked, task }
    }

    /// What new connections are to be spoken to with.
    pub(super) fn current(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.clone()
    }

    /// Looks at the files now.
    pub(super) fn reload(&self) {
        self.asked.notify_one();
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks after the files.
struct Keeper {
    pair: Pair,
    /// The state of the files that was refused, so that it is told once.
    refused: Option<Mark>,
    warned_at: Option<Timestamp>,
    clock: Arc<dyn Clock>,
    sender: watch::Sender<Arc<ServerConfig>>,
}

impl Keeper {
    async fn keep(mut self, asked: Arc<Notify>) {
        let mut before = self.pair.mark.clone();
        loop {
            self.warn_before_the_end();
            let is_asked = tokio::select! {
                biased;
                () = asked.notified() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let files = self.pair.files.clone();
            let Ok((contents, mark)) = tokio::task::spawn_blocking(move || files.look()).await else {
                return;
            };
            let is_settled = is_asked || mark == before;
            before.clone_from(&mark);
            if mark == self.pair.mark {
                self.refused = None;
            }
            if is_asked || (is_settled && mark != self.pair.mark && self.refused.as_ref() != Some(&mark)) {
                self.take(contents, mark);
            }
        }
    }

    fn take(&mut self, contents: Result<Contents, Misfit>, mark: Mark) {
        let files = self.pair.files.clone();
        match contents.and_then(|contents| Pair::fit(files, &contents, mark.clone())) {
            Ok(pair) => {
                self.sender.send_replace(Arc::clone(&pair.config));
                self.pair = pair;
                (self.refused, self.warned_at) = (None, None);
                let not_after = self.pair.expires_at();
                tracing::info!(not_after, "the certificate was read anew; new connections get it");
            }
            Err(problem) => {
                self.refused = Some(mark);
                tracing::error!(%problem, "the new certificate can't be used; the one before stays");
            }
        }
    }

    /// Once a day, when there are not many left.
    fn warn_before_the_end(&mut self) {
        let Some(not_after) = self.pair.not_after else { return };
        let now = self.clock.now();
        let is_due = self.warned_at.is_none_or(|at| at.ms_until(now) >= DAY_MS);
        if now.ms_until(not_after) < EXPIRES_SOON_MS && is_due {
            self.warned_at = Some(now);
            let not_after = shown(not_after);
            tracing::warn!(
                not_after,
                "the certificate has expired, or is about to: clients will refuse it; renew it"
            );
        }
    }
}

fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_ms()).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests;
