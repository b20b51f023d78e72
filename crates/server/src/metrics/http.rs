//! What the HTTP API counts. Requests are told apart by method, route and class of answer, never by what is in them: a
//! path that is none counts as `(no route)`, a method that is none of HTTP's own as `other`.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use pabal_engine::metrics::{Described, Family, Histogram, LATENCY, Measured};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

static REQUESTS: Described = Described::counter(
    "pabal_http_requests",
    &["method", "route", "class"],
    "Requests by the class of their answer: 2xx, 4xx, 5xx; aborted where the caller went away first.",
);
static REQUEST_TIME: Described = Described::histogram(
    "pabal_http_request",
    &LATENCY,
    &["method", "route"],
    "How long requests took, until the head of their answer.",
)
.in_unit(Measured::Seconds);
static REQUESTS_OPEN: Described =
    Described::gauge("pabal_http_requests_in_flight", &[], "Requests that are being worked on.");
static CONNECTIONS: Described = Described::gauge("pabal_http_connections", &[], "Connections that are open.");

/// Every metric of the API.
#[cfg(test)]
pub(super) static HTTP: &[&Described] = &[&REQUESTS, &REQUEST_TIME, &REQUESTS_OPEN, &CONNECTIONS];

/// What the HTTP API counts. A clone counts into the same.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: Arc<Family<Counter>>,
    time: Arc<Family<Histogram>>,
    open: Gauge,
    connections: Gauge,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Arc::new(Family::new(&REQUESTS)),
            time: Arc::new(Family::new(&REQUEST_TIME)),
            open: Gauge::default(),
            connections: Gauge::default(),
        }
    }
}

impl HttpMetrics {
    /// A request has begun.
    pub(crate) fn begin(&self, method: &Method, route: &str) -> RequestMeter {
        self.open.inc();
        let method = method_label(method);
        RequestMeter {
            metrics: self.clone(),
            method,
            route: route.to_owned(),
            began: Instant::now(),
            status: None,
        }
    }

    /// A connection is open for as long as what this answers lives.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }
}

/// A request under way. Dropped without an answer, it counts as aborted.
pub(crate) struct RequestMeter {
    metrics: HttpMetrics,
    method: &'static str,
    route: String,
    began: Instant,
    status: Option<StatusCode>,
}

impl RequestMeter {
    /// It is answered so.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        self.metrics.open.dec();
        let class = self.status.map_or("aborted", class_label);
        self.metrics.requests.of(&[self.method, &self.route, class]).inc();
        self.metrics.time.of(&[self.method, &self.route]).observe_time(self.began.elapsed());
    }
}

/// An open connection.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

fn class_label(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

impl Collector for HttpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests.expose(&mut encoder)?;
        self.time.expose(&mut encoder)?;
        REQUESTS_OPEN.expose_number(&mut encoder, self.open.get())?;
        CONNECTIONS.expose_number(&mut encoder, self.connections.get())
    }
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpMetrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_once_whatever_becomes_of_it() {
        let metrics = HttpMetrics::default();
        let begin = || metrics.begin(&Method::GET, "/v1/things/{thing}");
        begin().answered(StatusCode::OK);
        begin().answered(StatusCode::NO_CONTENT);
        let under_way = begin();
        assert_eq!(metrics.open.get(), 1);
        drop(under_way);
        assert_eq!(metrics.open.get(), 0);
        let counted = |class| metrics.requests.of(&["GET", "/v1/things/{thing}", class]).get();
        assert_eq!([counted("2xx"), counted("aborted"), counted("5xx")], [2, 1, 0]);
    }

    #[test]
    fn a_stranger_can_make_no_labels() {
        let odd = Method::from_bytes(b"ODD-METHOD").unwrap();
        assert_eq!([method_label(&odd), method_label(&Method::PUT)], ["other", "PUT"]);
        let odd = StatusCode::from_u16(799).unwrap();
        assert_eq!([class_label(odd), class_label(StatusCode::NOT_FOUND)], ["5xx", "4xx"]);
    }
}
