//! Limits and deadlines of the API.

use serde::Deserialize;

use crate::shape::Misfit;

/// Limits and deadlines of the API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Connections served at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Requests worked on at once; further ones are answered 503.
    pub requests_in_flight_max: usize,
    /// Requests of one key worked on at once; further ones are answered 429.
    pub requests_in_flight_per_key_max: usize,
    /// How long a client may take from connecting to the end of its first request's head.
    pub header_timeout_ms: u64,
    /// The same for each further request: how long a connection may be idle.
    pub idle_timeout_ms: u64,
    /// How long a client may take to send a request's body.
    pub body_timeout_ms: u64,
    /// How long a request may take in all; then it is answered 503.
    pub request_timeout_ms: u64,
    /// How long a shutdown waits for requests in flight.
    pub drain_deadline_ms: u64,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            requests_in_flight_max: 1024,
            requests_in_flight_per_key_max: 512,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            body_timeout_ms: 20_000,
            request_timeout_ms: 30_000,
            drain_deadline_ms: 5000,
        }
    }
}

impl HttpSection {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        let numbers = [
            ("http.connections_max", self.connections_max == 0),
            ("http.requests_in_flight_max", self.requests_in_flight_max == 0),
            ("http.requests_in_flight_per_key_max", self.requests_in_flight_per_key_max == 0),
            ("http.header_timeout_ms", self.header_timeout_ms == 0),
            ("http.idle_timeout_ms", self.idle_timeout_ms == 0),
            ("http.body_timeout_ms", self.body_timeout_ms == 0),
            ("http.request_timeout_ms", self.request_timeout_ms == 0),
        ];
        match numbers.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((path, _)) => Err(Misfit::value(path, "is zero")),
            None => Ok(()),
        }
    }
}
