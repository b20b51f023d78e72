//! Limits and deadlines of the API.

use std::time::Duration;

use serde::Deserialize;

use crate::limits;
use crate::shape::Misfit;

/// The most that a bound on the requests of a key in a second may be.
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;

/// Limits and deadlines of the API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Connections served at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Connections beside these that have not sent a request's head yet; beyond it the oldest one is closed.
    pub newcomers_max: usize,
    /// Requests worked on at once; further ones are answered 503.
    pub requests_in_flight_max: usize,
    /// Requests of one key worked on at once; further ones are answered 429.
    pub requests_in_flight_per_key_max: usize,
    /// Requests that one key may send in a second; further ones are answered 429. 0 for no bound.
    pub requests_per_second_per_key: u32,
    /// How long a client may take from connecting to the end of its first request's head.
    pub header_timeout_ms: u64,
    /// The same for each further request: how long a connection may be idle.
    pub idle_timeout_ms: u64,
    /// How long a client may take to send a request's body.
    pub body_timeout_ms: u64,
    /// How long a request may take in all; then it is answered 503.
    pub request_timeout_ms: u64,
    /// How much of it work in steps may take; `None` for a fixed share. No key of a file: for tests, which have little
    /// to do and still need several requests for it.
    #[serde(skip)]
    pub steps_time_ms: Option<u64>,
    /// How long a client may take nothing of its answer; then its connection is cut.
    pub write_timeout_ms: u64,
    /// How long a shutdown waits for requests in flight.
    pub drain_deadline_ms: u64,
    /// Whether `/metrics` needs no key.
    pub metrics_open: bool,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            newcomers_max: 1024,
            requests_in_flight_max: 1024,
            requests_in_flight_per_key_max: 512,
            requests_per_second_per_key: 0,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            body_timeout_ms: 20_000,
            request_timeout_ms: 30_000,
            steps_time_ms: None,
            write_timeout_ms: 20_000,
            drain_deadline_ms: 5000,
            metrics_open: false,
        }
    }
}

impl HttpSection {
    /// How long the steps of one request may take.
    pub(crate) fn steps_time(&self) -> Duration {
        let share = self.request_timeout_ms.saturating_mul(limits::STEPS_TIME_PERCENT) / 100;
        Duration::from_millis(self.steps_time_ms.unwrap_or(share))
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        let numbers = [
            ("http.connections_max", self.connections_max == 0),
            ("http.newcomers_max", self.newcomers_max == 0),
            ("http.requests_in_flight_max", self.requests_in_flight_max == 0),
            ("http.requests_in_flight_per_key_max", self.requests_in_flight_per_key_max == 0),
            ("http.header_timeout_ms", self.header_timeout_ms == 0),
            ("http.idle_timeout_ms", self.idle_timeout_ms == 0),
            ("http.body_timeout_ms", self.body_timeout_ms == 0),
            ("http.request_timeout_ms", self.request_timeout_ms == 0),
            ("http.write_timeout_ms", self.write_timeout_ms == 0),
        ];
        if self.requests_per_second_per_key > REQUESTS_PER_SECOND_MAX {
            let problem = format!("is more than {REQUESTS_PER_SECOND_MAX}");
            return Err(Misfit::value("http.requests_per_second_per_key", problem));
        }
        match numbers.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((path, _)) => Err(Misfit::value(path, "is zero")),
            None => Ok(()),
        }
    }
}
