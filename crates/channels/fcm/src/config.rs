//! What the channel is told: which projects it sends for, by which service account, and where to.
//!
//! A service-account file as Google hands it out needs nothing beside it: messages go to
//! [Google's own endpoint](Endpoint::google), tokens come from the file's own `token_uri`. Everything is checked before
//! anything is sent; an error names the field it is about.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use pabal_core::route::Credential;
use rustls_pki_types::CertificateDer;

use crate::account::ServiceAccount;
use crate::proxy::ProxyConfig;

/// Where Google takes messages.
const GOOGLE_ENDPOINT: &str = "https://fcm.googleapis.com";
/// Connections that a project may be given.
const CONNECTIONS_MAX: usize = 64;
/// Streams that may be assumed of a server.
const STREAMS_MAX: usize = 10_000;

/// Why a configuration is refused: the field, and the end of the sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ConfigError {
    /// The field, as the file calls it: `private_key`, `endpoint`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// All that the channel is told.
#[derive(Debug, Clone)]
pub struct FcmConfig {
    /// The projects, by the name that routes and devices use for them.
    pub projects: BTreeMap<Credential, ProjectConfig>,
    /// Certificates of authorities that are trusted *beside* the public ones, which are compiled in.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// HTTP/2 connections that a project may have open at once. Each is opened when the others are full.
    pub connections_per_project: usize,
    /// Streams that are assumed of a server before it has said how many it takes, and given to one that names no
    /// limit. FCM's own limit is 100; beyond it, it closes the connection.
    pub streams_assumed: usize,
    /// How long a connection may take to be made, from the name's look-up to the end of the TLS handshake, a proxy on
    /// the way included, and then the server to greet.
    pub connect_timeout: Duration,
    /// The proxy that connections to other machines go through; `None` for none. What the environment has to say about
    /// proxies is the server's to read.
    pub proxy: Option<ProxyConfig>,
    /// Addresses for names, instead of asking the resolver. The server must still prove the name. For tests.
    pub resolve: BTreeMap<String, SocketAddr>,
}

impl Default for FcmConfig {
    fn default() -> Self {
        Self {
            projects: BTreeMap::new(),
            extra_ca: Vec::new(),
            connections_per_project: 4,
            streams_assumed: 100,
            connect_timeout: Duration::from_secs(5),
            proxy: None,
            resolve: BTreeMap::new(),
        }
    }
}

impl FcmConfig {
    /// With one more project.
    #[must_use]
    pub fn with_project(mut self, name: Credential, project: ProjectConfig) -> Self {
        self.projects.insert(name, project);
        self
    }

    /// Where each project will send, and where it gets its tokens: what `config check` prints.
    pub fn describe(&self) -> Vec<ProjectDescription> {
        let describe = |(name, project): (&Credential, &ProjectConfig)| {
            let account = &project.service_account;
            let token_server = Endpoint::of_uri(account.token_uri(), "token_uri").ok();
            ProjectDescription {
                name: name.clone(),
                project_id: account.project_id().to_owned(),
                client_email: account.client_email().to_owned(),
                sends_to: project.endpoint().send_uri(account.project_id()),
                sends_through: self.proxy_to(&project.endpoint()).map(ToString::to_string),
                tokens_from: account.token_uri().to_string(),
                tokens_through: token_server.and_then(|to| self.proxy_to(&to).map(ToString::to_string)),
            }
        };
        self.projects.iter().map(describe).collect()
    }

    /// The proxy on the way to `to`.
    pub(crate) fn proxy_to(&self, to: &Endpoint) -> Option<&ProxyConfig> {
        self.proxy.as_ref().filter(|proxy| proxy.serves(to))
    }

    /// Checks the numbers; projects and endpoints were checked when they were made.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let within = |field: &str, value: usize, most: usize| {
            let problem = format!("is {value}; it must be between 1 and {most}");
            if (1..=most).contains(&value) { Ok(()) } else { Err(ConfigError::new(field, problem)) }
        };
        within("connections_per_project", self.connections_per_project, CONNECTIONS_MAX)?;
        within("streams_assumed", self.streams_assumed, STREAMS_MAX)?;
        if self.connect_timeout.is_zero() {
            return Err(ConfigError::new("connect_timeout", "is zero"));
        }
        Ok(())
    }
}

/// One project.
#[derive(Debug, Clone)]
pub struct ProjectConfig {
    /// Who sends.
    pub service_account: ServiceAccount,
    /// Where messages go; `None` means to Google.
    pub endpoint: Option<Endpoint>,
}

impl ProjectConfig {
    /// A project that sends to Google.
    pub const fn new(service_account: ServiceAccount) -> Self {
        Self { service_account, endpoint: None }
    }

    /// Sends elsewhere.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone().unwrap_or_else(Endpoint::google)
    }
}

/// Where one project sends and gets its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectDescription {
    /// The project's name in the configuration.
    pub name: Credential,
    /// Its id at Google.
    pub project_id: String,
    /// The service account.
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

impl fmt::Display for ProjectDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, client_email, sends_to, tokens_from, .. } = self;
        let through = |proxy: &Option<String>| match proxy {
            Some(proxy) => format!(" through proxy {proxy}"),
            None => String::new(),
        };
        let (sends_through, tokens_through) = (through(&self.sends_through), through(&self.tokens_through));
        write!(
            f,
            "{name}: sends to {sends_to}{sends_through} as {client_email}, with tokens from {tokens_from}{tokens_through}"
        )
    }
}

/// Scheme, host and port of a server: `https://` anywhere, `http://` on this machine only, since a token or a message
/// that travels in the clear is anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is TLS.
    pub(crate) tls: bool,
    /// The host, an IPv6 address without its brackets.
    pub(crate) host: String,
    /// The port, always known.
    pub(crate) port: u16,
    /// Scheme and authority as written.
    base: String,
}

impl Endpoint {
    /// Google's own.
    pub fn google() -> Self {
        Self { tls: true, host: "fcm.googleapis.com".to_owned(), port: 443, base: GOOGLE_ENDPOINT.to_owned() }
    }

    /// The server that a URL names, whatever its path. `field` is what an error calls it.
    pub(crate) fn of_uri(uri: &Uri, field: &str) -> Result<Self, ConfigError> {
        let refuse = |problem: &str| Err(ConfigError::new(field, format!("'{uri}' {problem}")));
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse("is no URL with scheme and host");
        };
        if authority.as_str().contains('@') {
            return refuse("holds a user name, which has no meaning here");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = match scheme {
            "https" => true,
            "http" if is_loopback(host) => false,
            "http" => {
                return refuse(
                    "is plain http to another machine; use https, or http on 127.0.0.0/8, ::1 or localhost",
                );
            }
            _ => return refuse("is neither https:// nor http://"),
        };
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() != authority.host() => return refuse("has no port after its colon"),
            None if tls => 443,
            None => 80,
        };
        Ok(Self { tls, host: host.to_owned(), port, base: format!("{scheme}://{authority}") })
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Host and port, as CONNECT names them.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL of messages of a project.
    pub(crate) fn send_uri(&self, project_id: &str) -> String {
        format!("{}/v1/projects/{project_id}/messages:send", self.base)
    }
}

impl FromStr for Endpoint {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let uri: Uri = text
            .parse()
            .map_err(|error| ConfigError::new("endpoint", format!("'{text}' is no URL: {error}")))?;
        let endpoint = Self::of_uri(&uri, "endpoint")?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            let problem = format!("'{text}' has a path; give scheme, host and port alone: {endpoint}");
            return Err(ConfigError::new("endpoint", problem));
        }
        Ok(endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_stays_here() {
        for good in [
            "https://fcm.googleapis.com",
            "https://10.1.2.3:8443/",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://localhost:1",
            "http://LOCALHOST",
            "http://[::1]:9090/",
        ] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        let v6: Endpoint = "http://[::1]:9090/".parse().unwrap();
        assert_eq!((v6.host.as_str(), v6.port, v6.tls), ("::1", 9090, false));
        assert_eq!(v6.send_uri("p"), "http://[::1]:9090/v1/projects/p/messages:send");
    }

    #[test]
    fn plain_http_to_another_machine_is_refused() {
        for bad in [
            "http://example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com:80",
            "http://0.0.0.0",
            "http://[::]",
            "http://localhost.",
        ] {
            let error = bad.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("plain http to another machine"), "{error}");
        }
    }

    #[test]
    fn other_urls_are_refused_with_a_reason() {
        let check = |url: &str, reason: &str| {
            let error = url.parse::<Endpoint>().unwrap_err();
            assert_eq!(error.field, "endpoint");
            assert!(error.problem.contains(reason), "{url}: {error}");
        };
        check("", "is no URL");
        check("fcm.googleapis.com", "no URL with scheme");
        check("ftp://localhost", "neither https");
        check("http://localhost@example.com", "user name");
        check("https://user:pw@example.com", "user name");
        check(
            "http://localhost:8080/v1",
            "has a path; give scheme, host and port alone: http://localhost:8080",
        );
        check("https://example.com/?q", "has a path");
        check("https://example.com:99999", "no port after its colon");
        check("https://example.com:", "no port after its colon");
    }

    #[test]
    fn numbers_have_ranges() {
        assert_eq!(FcmConfig::default().check(), Ok(()));
        let check = |change: fn(&mut FcmConfig), expect: &str| {
            let mut config = FcmConfig::default();
            change(&mut config);
            assert_eq!(config.check().unwrap_err().to_string(), expect);
        };
        check(
            |config| config.connections_per_project = 0,
            "connections_per_project is 0; it must be between 1 and 64",
        );
        check(
            |config| config.streams_assumed = 10_001,
            "streams_assumed is 10001; it must be between 1 and 10000",
        );
        check(|config| config.connect_timeout = Duration::ZERO, "connect_timeout is zero");
    }
}
