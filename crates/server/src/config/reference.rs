//! Every key that can be configured: what names variables, anchors paths and documents the configuration.
//!
//! The typed sections decide what a key may hold; this list says that it exists, of which kind it is and what it is
//! for. `pabal config reference` prints it (see `render`), docs/guide/configuration.md holds what it prints, and tests
//! hold all of them against each other.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text as it is.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path; a relative one in the file starts at the file's folder.
    Path,
    /// The URL of a backend; `sqlite://` with a relative path is anchored likewise.
    Backend,
    /// Yes or no: `true` or `false`.
    Flag,
    /// A whole number, this or more.
    Number {
        /// The least that is taken.
        least: u64,
    },
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path; `*` stands for a name that the operator gives.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds without it; empty where nothing does.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// What it may hold for example, where there is no default.
    pub example: &'static str,
    /// What else its value must be, as the end of a sentence that begins with the value.
    pub limit: &'static str,
    /// Whether it must not be shown to everybody.
    pub is_secret: bool,
    /// Whether there is no doing without it in its section.
    pub is_required: bool,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    let (example, limit) = ("", "");
    Key { path, kind, default, meaning, example, limit, is_secret: false, is_required: false }
}

impl Key {
    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn limit(mut self, limit: &'static str) -> Self {
        self.limit = limit;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// The variable of this key; `*` stands for a name in capitals, with `_` for every other character.
    pub fn variable(&self) -> String {
        format!("PABAL_{}", self.path.to_uppercase().replace('.', "_"))
    }

    /// The section it stands in, and its name there.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// The unit of its number, as its name ends.
    pub fn unit(&self) -> Option<&'static str> {
        const UNITS: [(&str, &str); 3] = [("_ms", "milliseconds"), ("_days", "days"), ("_mb", "MiB")];
        UNITS.iter().find(|(ending, _)| self.path.ends_with(ending)).map(|(_, unit)| *unit)
    }
}

/// What each section is about; the keys before the first have none.
pub const SECTIONS: &[(&str, &str)] = &[
    ("", "Where it listens, where the data lies"),
    ("http", "Limits and deadlines of the API"),
    ("tls", "TLS for the API; both keys or none"),
    ("fcm", "The way to Firebase Cloud Messaging"),
    ("fcm.projects.*", "One Firebase project; as many as there are"),
    ("engine", "How strong the engine is"),
    ("retry", "How deliveries are retried"),
    ("retention", "How long what has ended is kept; what is open is kept whatever these say"),
    ("log", "What is logged, on standard error"),
];

const POSITIVE: Kind = Kind::Number { least: 1 };
const NUMBER: Kind = Kind::Number { least: 0 };

/// Every key, in the order of the sections.
pub const KEYS: &[Key] = &[
    key("listen", Kind::Text, "127.0.0.1:8080", "Address and port of the API.")
        .limit("an IP address with a port, as `[::1]:8080`"),
    key("store", Kind::Backend, "sqlite://pabal.db", "URL of the store.").limit("`sqlite://PATH`"),
    key("queue", Kind::Backend, "", "URL of the queue. Without one the store is the queue too.")
        .limit("`memory://`")
        .example("memory://"),
    key("api_key", Kind::Text, "", "An admin key that holds as long as it is configured.")
        .limit("24 characters or more, drawn at random")
        .example("put-random-characters-here")
        .secret(),
    key("http.connections_max", POSITIVE, "1024", "Connections served at once; further ones wait."),
    key(
        "http.newcomers_max",
        POSITIVE,
        "1024",
        "Connections beside these that have not sent a request's head yet; beyond it the oldest is closed.",
    ),
    key("http.requests_in_flight_max", POSITIVE, "1024", "Requests worked on at once; further ones get 503."),
    key(
        "http.requests_in_flight_per_key_max",
        POSITIVE,
        "512",
        "The same for one API key; further ones get 429.",
    ),
    key(
        "http.requests_per_second_per_key",
        NUMBER,
        "0",
        "Requests that one API key may send in a second; further ones get 429. 0 for no bound.",
    )
    .limit("1000000 or less"),
    key(
        "http.header_timeout_ms",
        POSITIVE,
        "10000",
        "How long a client may take from connecting to the end of its first request's head.",
    ),
    key("http.idle_timeout_ms", POSITIVE, "75000", "How long a connection may be idle between requests."),
    key("http.body_timeout_ms", POSITIVE, "20000", "How long a client may take to send a request's body."),
    key(
        "http.request_timeout_ms",
        POSITIVE,
        "30000",
        "How long a request may take in all before it gets 503.",
    ),
    key(
        "http.write_timeout_ms",
        POSITIVE,
        "20000",
        "How long a client may take nothing of its answer before its connection is cut.",
    ),
    key("http.drain_deadline_ms", NUMBER, "5000", "How long a shutdown waits for requests in flight."),
    key("http.metrics_open", Kind::Flag, "false", "Whether `/metrics` needs no key."),
    key("tls.certificate", Kind::Path, "", "PEM file of the certificate and what it is signed by.")
        .example("fullchain.pem"),
    key("tls.key", Kind::Path, "", "PEM file of its private key, without a password.").example("key.pem"),
    key(
        "fcm.default_project",
        Kind::Text,
        "",
        "The project of requests that name none. With one project, that one.",
    )
    .limit("the name of one of the projects")
    .example("my-app"),
    key("fcm.extra_ca", Kind::Path, "", "PEM file of an authority to be trusted besides the public ones.")
        .example("authority.pem"),
    key(
        "fcm.proxy",
        Kind::Text,
        "",
        "HTTP proxy on the way to Google; without it the variable `HTTPS_PROXY` counts. `off` for none at all.",
    )
    .limit("`http://host:port`, `http://user:password@host:port` or `off`")
    .example("http://user:password@proxy.example.com:3128")
    .secret(),
    key(
        "fcm.projects.*.service_account",
        Kind::Path,
        "",
        "Key file of the project's service account, as Google's console hands it out.",
    )
    .example("service-account.json")
    .required(),
    key("fcm.projects.*.endpoint", Kind::Text, "", "Where to send instead of Google's address.")
        .limit("scheme, host and port; `http://` on this machine only")
        .example("http://127.0.0.1:9099"),
    key(
        "engine.attempts_in_flight_max",
        POSITIVE,
        "1000",
        "Deliveries being attempted at once: what a crash can send twice at most.",
    ),
    key("engine.attempts_in_flight_per_route_max", POSITIVE, "500", "The same for one route."),
    key(
        "engine.fan_outs_per_lane_max",
        POSITIVE,
        "2",
        "Notifications being resolved into deliveries at once, on each lane.",
    ),
    key("engine.settle_batch_max", POSITIVE, "500", "Outcomes written in one step."),
    key(
        "engine.visibility_ms",
        Kind::Number { least: 2 },
        "60000",
        "How long a claimed delivery is hidden from other workers.",
    )
    .limit("twice `engine.attempt_deadline_ms` or more"),
    key(
        "engine.attempt_deadline_ms",
        POSITIVE,
        "15000",
        "How long an attempt may take; then its outcome is unknown.",
    ),
    key(
        "engine.drain_deadline_ms",
        NUMBER,
        "20000",
        "How long a shutdown waits for attempts in flight.",
    ),
    key(
        "engine.idle_poll_ms",
        POSITIVE,
        "30000",
        "The longest sleep of a worker that knows of nothing due.",
    ),
    key("retry.attempts_max", POSITIVE, "40", "Counted attempts after which a delivery is dead."),
    key(
        "retry.backoff_base_ms",
        POSITIVE,
        "1000",
        "The longest wait after the first failure; it doubles with each further one.",
    ),
    key(
        "retry.backoff_cap_ms",
        POSITIVE,
        "3600000",
        "The longest wait of all, unless the provider asks for more.",
    )
    .limit("`retry.backoff_base_ms` or more"),
    key(
        "retry.throttled_floor_ms",
        NUMBER,
        "60000",
        "The least wait after a throttling answer without Retry-After.",
    ),
    key("retry.credential_probe_ms", POSITIVE, "60000", "How often a refused credential is tried again."),
    key(
        "retention.ended_days",
        NUMBER,
        "30",
        "How long a notification is kept after the last of its deliveries ended.",
    )
    .limit("36500 or less"),
    key("retention.dead_days", NUMBER, "90", "The same where one of its deliveries is dead.")
        .limit("`retention.ended_days` or more, 36500 or less"),
    key(
        "retention.size_max_mb",
        NUMBER,
        "0",
        "Size of the store beyond which what ended first is forgotten early; 0 for no bound.",
    ),
    key("retention.check_every_ms", POSITIVE, "60000", "How often it is looked for."),
    key(
        "retention.disk_free_warn_mb",
        NUMBER,
        "1024",
        "What the store's disk is to have left: below it the log warns, every five minutes. 0 for never.",
    ),
    key("log.level", Kind::Text, "info", "What is logged. `RUST_LOG` is not used.").limit(
        "`error`, `warn`, `info`, `debug`, `trace` or `off`, or several parts as `info,pabal_engine=debug`",
    ),
    key("log.format", Kind::Choice(&["text", "json"]), "text", "`text` for people, `json` for collectors."),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_is_read_and_its_default_holds() {
        let defaults = KEYS.iter().filter(|key| !key.default.is_empty());
        let variables = defaults.map(|key| (key.variable(), key.default.to_owned()));
        let config = Config::load(None, variables).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn no_key_of_a_section_is_missing_here() {
        let shown = format!("{:?}", Config::default());
        for key in KEYS {
            let (_, name) = key.split();
            assert!(key.path.contains('*') || shown.contains(&format!("{name}: ")), "{name}");
        }
        let sections = ["http", "tls", "fcm", "engine", "retry", "retention", "log", "projects"];
        // What no file can set.
        let of_tests = ["steps_time_ms"];
        let fields = shown.matches(": ").count() - sections.len() - of_tests.len();
        let here = KEYS.iter().filter(|key| !key.path.contains('*')).count();
        assert_eq!(fields, here, "{shown}");
    }

    #[test]
    fn keys_stand_in_their_sections_in_order() {
        let mut sections: Vec<&str> = KEYS.iter().map(|key| key.split().0).collect();
        sections.dedup();
        let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(sections, known);
    }

    #[test]
    fn what_has_no_default_has_an_example() {
        for key in KEYS {
            assert_eq!(key.default.is_empty(), !key.example.is_empty(), "{}", key.path);
        }
    }

    #[test]
    fn numbers_begin_where_it_is_said() {
        let load = |key: &Key, number: u64| Config::load(None, [(key.variable(), number.to_string())]);
        for key in KEYS {
            let Kind::Number { least } = key.kind else { continue };
            // What depends on another key is refused for that already.
            if key.limit.is_empty() {
                load(key, least).unwrap();
            }
            if least > 0 {
                let error = load(key, least - 1).unwrap_err().to_string();
                assert!(error.contains(key.path), "{error}");
            }
        }
    }

    #[test]
    fn secrets_are_those_that_debug_output_hides() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pabal.toml");
        std::fs::write(&file, crate::config::render::toml_uncommented()).unwrap();
        let shown = format!("{:?}", Config::load(Some(Path::new(&file)), []).unwrap());
        for key in KEYS.iter().filter(|key| !key.example.is_empty()) {
            assert_eq!(shown.contains(key.example), !key.is_secret, "{}: {shown}", key.path);
        }
    }
}
