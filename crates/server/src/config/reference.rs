//! Every key that can be configured: what names variables, anchors paths and documents the configuration.
//!
//! The typed sections decide what a key may hold; this list only says that it exists, of which kind it is and what it
//! is for. Tests hold the list, the sections and docs/guide/configuration.md against each other.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text as it is.
    Text,
    /// A path; a relative one in the file starts at the file's folder.
    Path,
    /// The URL of a backend; `sqlite://` with a relative path is anchored likewise.
    Backend,
    /// A whole number.
    Number,
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
}

const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning }
}

/// Every key.
pub const KEYS: &[Key] = &[
    key("listen", Kind::Text, "127.0.0.1:8080", "Address and port of the API."),
    key("store", Kind::Backend, "sqlite://pabal.db", "URL of the store."),
    key("queue", Kind::Backend, "", "URL of the queue. Without one the store is the queue too."),
    key(
        "api_key",
        Kind::Text,
        "",
        "An admin key, of 24 characters or more, that holds as long as it is configured.",
    ),
    key("http.connections_max", Kind::Number, "1024", "Connections served at once; further ones wait."),
    key(
        "http.requests_in_flight_max",
        Kind::Number,
        "1024",
        "Requests worked on at once; further ones get 503.",
    ),
    key(
        "http.requests_in_flight_per_key_max",
        Kind::Number,
        "512",
        "The same for one API key; further ones get 429.",
    ),
    key(
        "http.header_timeout_ms",
        Kind::Number,
        "10000",
        "How long a client may take from connecting to the end of its first request's head.",
    ),
    key("http.idle_timeout_ms", Kind::Number, "75000", "How long a connection may be idle between requests."),
    key(
        "http.body_timeout_ms",
        Kind::Number,
        "20000",
        "How long a client may take to send a request's body.",
    ),
    key(
        "http.request_timeout_ms",
        Kind::Number,
        "30000",
        "How long a request may take in all before it gets 503.",
    ),
    key("http.drain_deadline_ms", Kind::Number, "5000", "How long a shutdown waits for requests in flight."),
    key(
        "fcm.default_project",
        Kind::Text,
        "",
        "The project of requests that name none. With one project, that one.",
    ),
    key("fcm.extra_ca", Kind::Path, "", "PEM file of an authority to be trusted besides the public ones."),
    key(
        "fcm.projects.*.service_account",
        Kind::Path,
        "",
        "Key file of the project's service account. Required.",
    ),
    key(
        "fcm.projects.*.endpoint",
        Kind::Text,
        "",
        "Where to send instead of Google's address; plain http on loopback only.",
    ),
    key(
        "engine.attempts_in_flight_max",
        Kind::Number,
        "1000",
        "Deliveries being attempted at once: what a crash can send twice at most.",
    ),
    key("engine.attempts_in_flight_per_route_max", Kind::Number, "500", "The same for one route."),
    key(
        "engine.fan_outs_per_lane_max",
        Kind::Number,
        "2",
        "Notifications being resolved into deliveries at once, on each lane.",
    ),
    key("engine.settle_batch_max", Kind::Number, "500", "Outcomes written in one step."),
    key(
        "engine.visibility_ms",
        Kind::Number,
        "60000",
        "How long a claimed delivery is hidden from other workers.",
    ),
    key(
        "engine.attempt_deadline_ms",
        Kind::Number,
        "15000",
        "How long an attempt may take; then its outcome is unknown.",
    ),
    key(
        "engine.drain_deadline_ms",
        Kind::Number,
        "20000",
        "How long a shutdown waits for attempts in flight.",
    ),
    key(
        "engine.idle_poll_ms",
        Kind::Number,
        "30000",
        "The longest sleep of a worker that knows of nothing due.",
    ),
    key("retry.attempts_max", Kind::Number, "40", "Counted attempts after which a delivery is dead."),
    key(
        "retry.backoff_base_ms",
        Kind::Number,
        "1000",
        "The longest wait after the first failure; it doubles with each further one.",
    ),
    key(
        "retry.backoff_cap_ms",
        Kind::Number,
        "3600000",
        "The longest wait of all, unless the provider asks for more.",
    ),
    key(
        "retry.throttled_floor_ms",
        Kind::Number,
        "60000",
        "The least wait after a throttling answer without Retry-After.",
    ),
    key("retry.credential_probe_ms", Kind::Number, "60000", "How often a refused credential is tried again."),
    key(
        "log.level",
        Kind::Text,
        "info",
        "What is logged: a level, or a filter as `info,pabal_engine=debug`.",
    ),
    key("log.format", Kind::Text, "text", "`text` for people, `json` for collectors."),
];

impl Key {
    /// The variable of this key; `*` stands for a name in capitals, with `_` for every other character.
    pub fn variable(&self) -> String {
        format!("PABAL_{}", self.path.to_uppercase().replace('.', "_"))
    }

    /// The key's row in the guide.
    pub fn row(&self) -> String {
        let path = self.path.replace('*', "NAME");
        let default = if self.default.is_empty() { String::new() } else { format!("`{}`", self.default) };
        format!("| `{path}` | {default} | {} |", self.meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_is_documented() {
        let guide = include_str!("../../../../docs/guide/configuration.md");
        let missing: Vec<String> = KEYS.iter().map(Key::row).filter(|row| !guide.contains(row)).collect();
        assert!(missing.is_empty(), "docs/guide/configuration.md misses\n{}", missing.join("\n"));
    }

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
            let name = key.path.rsplit('.').next().unwrap();
            assert!(key.path.contains('*') || shown.contains(&format!("{name}: ")), "{name}");
        }
        let fields =
            shown.matches(": ").count() - ["http", "fcm", "engine", "retry", "log", "projects"].len();
        let here = KEYS.iter().filter(|key| !key.path.contains('*')).count();
        assert_eq!(fields, here, "{shown}");
    }
}
