//! The configuration: a TOML file, and every key of it also as a `PABAL_…` variable, which wins.
//!
//! What comes out of [`Config::load`] is checked: a value that can't be, an unknown key and a file that can't be read
//! each fail here, by the path of the key, before anything is opened.

mod engine;
mod fcm;
mod http;
mod log;
mod proxy;
mod reference;
pub mod render;
mod retention;
mod source;
mod tls;

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use self::engine::{EngineSection, RetrySection};
pub use self::fcm::{FcmSection, ProjectSection};
pub use self::http::HttpSection;
pub use self::log::{LogFormat, LogSection};
pub use self::proxy::ProxySetting;
pub use self::reference::{KEYS, Key, Kind, SECTIONS};
pub use self::retention::RetentionSection;
use self::source::Source;
pub use self::tls::TlsSection;
use crate::shape::{self, Misfit};

/// The fewest characters that a key given by the operator may have.
pub const API_KEY_CHARS_MIN: usize = 24;

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The URL of the store.
    pub store: String,
    /// The URL of the queue; without one the store is the queue too.
    pub queue: Option<String>,
    /// An admin key of the app `default` that holds as long as it is configured.
    pub api_key: Option<SecretString>,
    /// Limits and deadlines of the API.
    pub http: HttpSection,
    /// TLS for the API.
    pub tls: TlsSection,
    /// Firebase projects.
    pub fcm: FcmSection,
    /// How strong the engine is.
    pub engine: EngineSection,
    /// How deliveries are retried.
    pub retry: RetrySection,
    /// How long what has ended is kept.
    pub retention: RetentionSection,
    /// What is logged.
    pub log: LogSection,
}

/// A configuration that can't be used: where it was given, and what is wrong with it, by the path of the key.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    origin: String,
    problem: String,
}

/// The keys as they are read, before they are checked together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    listen: String,
    store: String,
    queue: Option<String>,
    api_key: Option<SecretText>,
    http: HttpSection,
    tls: TlsSection,
    fcm: FcmSection,
    engine: EngineSection,
    retry: RetrySection,
    retention: RetentionSection,
    log: LogSection,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            store: "sqlite://pabal.db".to_owned(),
            queue: None,
            api_key: None,
            http: HttpSection::default(),
            tls: TlsSection::default(),
            fcm: FcmSection::default(),
            engine: EngineSection::default(),
            retry: RetrySection::default(),
            retention: RetentionSection::default(),
            log: LogSection::default(),
        }
    }
}

/// Text that never shows in debug output.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
struct SecretText(SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

impl Config {
    /// Reads the file, if one is named, lays the variables over it and checks the whole. Of the variables that are not
    /// `PABAL_…`, those that name a proxy count.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        Self::read(Source::read(file)?, &variables)
    }

    /// What a file of this text would be, beside these variables.
    pub(crate) fn of_text(text: &str, variables: &[(String, String)]) -> Result<Self, ConfigError> {
        Self::read(Source::parse("pabal.toml".to_owned(), text)?, variables)
    }

    fn read(mut source: Source, variables: &[(String, String)]) -> Result<Self, ConfigError> {
        source.lay_over(variables)?;
        let read = shape::read::<Document>(source.value()).map(|mut document| {
            document.fcm.proxy = proxy::chosen(document.fcm.proxy, variables);
            document
        });
        let checked = read.and_then(Config::check);
        checked.map_err(|misfit| source.blame(&misfit))
    }

    fn check(document: Document) -> Result<Self, Misfit> {
        let listen = document.listen.parse().map_err(|_| {
            Misfit::value("listen", "must be an address with a port, as 127.0.0.1:8080 or [::1]:8080")
        })?;
        let api_key = document.api_key.map(|key| key.0);
        if let Some(key) = &api_key
            && key.expose_secret().chars().count() < API_KEY_CHARS_MIN
        {
            let problem = format!("must have {API_KEY_CHARS_MIN} characters or more, drawn at random");
            return Err(Misfit::value("api_key", problem));
        }
        document.http.check()?;
        document.tls.check()?;
        document.fcm.check()?;
        document.retention.check()?;
        document.log.check()?;
        let config = Self {
            listen,
            store: document.store,
            queue: document.queue,
            api_key,
            http: document.http,
            tls: document.tls,
            fcm: document.fcm,
            engine: document.engine,
            retry: document.retry,
            retention: document.retention,
            log: document.log,
        };
        config.engine_config().map(|_| config)
    }

    /// What the engine is made with.
    pub(crate) fn engine_config(&self) -> Result<pabal_engine::EngineConfig, Misfit> {
        let engine = self.engine.with_retry(self.retry.policy()?)?;
        Ok(pabal_engine::EngineConfig {
            retention: self.retention.policy(),
            prune_every_ms: self.retention.check_every_ms,
            ..engine
        })
    }
}

/// The defaults of every key.
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            store: Document::default().store,
            queue: None,
            api_key: None,
            http: HttpSection::default(),
            tls: TlsSection::default(),
            fcm: FcmSection::default(),
            engine: EngineSection::default(),
            retry: RetrySection::default(),
            retention: RetentionSection::default(),
            log: LogSection::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pabal.toml");
        std::fs::write(&file, toml).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&file), variables)
            .map_err(|error| error.to_string().replace(&file.display().to_string(), "pabal.toml"))
    }

    #[track_caller]
    fn refused(toml: &str, variables: &[(&str, &str)], expect: &str) {
        assert_eq!(load(toml, variables).unwrap_err(), expect);
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let config = Config::load(None, []).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.store, "sqlite://pabal.db");
        assert_eq!(config.engine_config().unwrap().attempts_in_flight_max, 1000);
    }

    #[test]
    fn variables_win_over_the_file() {
        let toml = "listen = '127.0.0.1:1'\n[retry]\nattempts_max = 3\n[fcm.projects.my-app]\nservice_account = 'sa.json'";
        let config = load(
            toml,
            &[
                ("PABAL_LISTEN", "127.0.0.1:2"),
                ("PABAL_RETRY_ATTEMPTS_MAX", "7"),
                ("PABAL_FCM_PROJECTS_MY_APP_ENDPOINT", "http://127.0.0.1:9"),
                ("PABAL_FCM_PROJECTS_OTHER_APP_SERVICE_ACCOUNT", "/other.json"),
                ("HOME", "/root"),
            ],
        )
        .unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.retry.attempts_max, 7);
        let projects: Vec<_> = config.fcm.projects.iter().collect();
        assert_eq!(projects[0].0.as_str(), "my-app");
        assert!(
            projects[0].1.service_account.is_absolute(),
            "a path in the file starts at the file's folder"
        );
        assert_eq!(projects[0].1.endpoint.as_deref(), Some("http://127.0.0.1:9"));
        assert_eq!(projects[1].0.as_str(), "other-app");
    }

    #[test]
    fn secrets_come_from_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "a-key-of-twenty-four-chars\n").unwrap();
        let config = load("", &[("PABAL_API_KEY_FILE", path.to_str().unwrap())]).unwrap();
        assert_eq!(config.api_key.unwrap().expose_secret(), "a-key-of-twenty-four-chars");
        let error = load("", &[("PABAL_API_KEY_FILE", "/nowhere/key")]).unwrap_err();
        assert!(error.starts_with("PABAL_API_KEY_FILE: can't read /nowhere/key: "), "{error}");
        let both = [("PABAL_API_KEY_FILE", path.to_str().unwrap()), ("PABAL_API_KEY", "x")];
        refused("", &both, "PABAL_API_KEY_FILE: PABAL_API_KEY is given too; leave one out");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        refused(
            "listne = 1",
            &[],
            "pabal.toml: listne is not known; known here: listen, store, queue, api_key, http, tls, fcm, engine, retry, retention, log",
        );
        refused(
            "[fcm]\nproject = 'a'",
            &[],
            "pabal.toml: fcm.project is not known; known here: default_project, extra_ca, proxy, projects",
        );
        refused("listen = 8080", &[], "pabal.toml: listen must be a string, not a number");
        refused(
            "listen = '8080'",
            &[],
            "pabal.toml: listen: must be an address with a port, as 127.0.0.1:8080 or [::1]:8080",
        );
        refused("[retry]\nattempts_max = 0", &[], "pabal.toml: retry.attempts_max: is zero");
        refused(
            "[retry]\nbackoff_base_ms = -1",
            &[],
            "pabal.toml: retry.backoff_base_ms: must be a whole number that is not negative",
        );
        refused(
            "[retry]\nbackoff_base_ms = 9\nbackoff_cap_ms = 8",
            &[],
            "pabal.toml: retry.backoff_cap_ms: is below backoff_base_ms",
        );
        refused(
            "[engine]\nvisibility_ms = 1",
            &[],
            "pabal.toml: engine.visibility_ms: is under twice attempt_deadline_ms: leases would end under way",
        );
        refused("[http]\nconnections_max = 0", &[], "pabal.toml: http.connections_max: is zero");
        refused(
            "[log]\nlevel = 'inof'",
            &[],
            "pabal.toml: log.level: must be error, warn, info, debug, trace or off, or a filter as info,pabal_engine=debug",
        );
        refused("[log]\nformat = 'xml'", &[], "pabal.toml: log.format: must be one of text, json");
        refused(
            "api_key = 'short'",
            &[],
            "pabal.toml: api_key: must have 24 characters or more, drawn at random",
        );
        refused(
            "[fcm]\ndefault_project = 'a'",
            &[],
            "pabal.toml: fcm.default_project: there is no [fcm.projects.a]",
        );
        refused(
            "[fcm.projects.'a b']\nservice_account = 'x'",
            &[],
            "pabal.toml: fcm.projects.a b: project may hold letters, digits, '-', '_' and '.' only",
        );
        refused("[fcm.projects.a]", &[], "pabal.toml: fcm.projects.a.service_account is missing");
        refused(
            "listen = ",
            &[],
            "pabal.toml: line 1 is not TOML: string values must be quoted, expected literal string",
        );
    }

    #[test]
    fn what_is_wrong_in_a_variable_is_named_by_the_variable() {
        refused("", &[("PABAL_LISTNE", "1")], "PABAL_LISTNE: is no key of the configuration");
        refused(
            "",
            &[("PABAL_RETRY_ATTEMPTS_MAX", "many")],
            "PABAL_RETRY_ATTEMPTS_MAX: must be a whole number",
        );
        refused(
            "",
            &[("PABAL_RETRY_ATTEMPTS_MAX", "0")],
            "PABAL_RETRY_ATTEMPTS_MAX: retry.attempts_max: is zero",
        );
    }

    #[test]
    fn the_environments_proxy_counts_unless_the_key_is_there() {
        let environment = ("HTTPS_PROXY", "http://proxy:1");
        let named_by = |toml: &str, variables: &[(&str, &str)]| {
            load(toml, variables).unwrap().fcm.proxy.map(|proxy| proxy.named_by)
        };
        assert_eq!(named_by("", &[]), None);
        assert_eq!(named_by("", &[environment]), Some("HTTPS_PROXY".to_owned()));
        assert_eq!(named_by("[fcm]\nproxy = 'http://other:1'", &[environment]), Some("fcm.proxy".to_owned()));
        assert_eq!(named_by("[fcm]\nproxy = 'off'", &[environment]), None);
        assert_eq!(named_by("", &[environment, ("PABAL_FCM_PROXY", "off")]), None);
    }

    #[test]
    fn variables_that_belong_to_others_are_left_alone() {
        // The command line's own, and those that Kubernetes and Docker set for a service of this name.
        let others = [
            "PABAL_URL",
            "PABAL_CONFIG",
            "PABAL_CA",
            "PABAL_SERVICE_HOST",
            "PABAL_PORT",
            "PABAL_PORT_8080_TCP_ADDR",
        ];
        load("", &others.map(|name| (name, "x"))).unwrap();
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/nowhere/pabal.toml")), []).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/pabal.toml: can't be read: "), "{error}");
    }

    #[test]
    fn secrets_never_show() {
        let proxy = [("PABAL_FCM_PROXY", "http://ann:twenty@proxy:1")];
        let config = load("api_key = 'a-key-of-twenty-four-chars'", &proxy).unwrap();
        assert!(!format!("{config:?}").contains("twenty"));
    }
}
