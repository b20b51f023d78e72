//! Metrics with labels. A family holds one series for each combination of label values that was met; whoever counts
//! often keeps a series at hand, which is neither a lock nor an allocation away.
//!
//! Label values are words of the domain and names of the configuration. A person, a token, a key or an app is never one:
//! how many series there are must not depend on how many people are sent to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::histogram::{Buckets, Histogram};

/// A metric, as documents and scrapers know it.
#[derive(Debug)]
pub struct Described {
    /// Its name without unit and suffix.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it is measured in, where it is no count.
    pub unit: Option<Measured>,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, from 0 at each start.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Counts by size.
    Histogram(&'static Buckets),
    /// Says something in its labels; its value is 1.
    Info,
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Described {
    /// A counter of things.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: None, labels, help }
    }

    /// A gauge of things.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit: None, labels, help }
    }

    /// A histogram.
    pub const fn histogram(
        name: &'static str,
        buckets: &'static Buckets,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), unit: None, labels, help }
    }

    /// Labels that say something.
    pub const fn info(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Info, unit: None, labels, help }
    }

    /// Measured in a unit, which ends its name.
    #[must_use]
    pub const fn in_unit(mut self, unit: Measured) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The name with its unit and suffix, as queries have it; those of a histogram's series end in `_bucket`, `_sum` and
    /// `_count` besides.
    pub fn full_name(&self) -> String {
        let unit = match self.unit {
            None => "",
            Some(Measured::Seconds) => "_seconds",
            Some(Measured::Bytes) => "_bytes",
        };
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram(_) => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }

    /// The word for its type.
    pub const fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
            Kind::Info => "info",
        }
    }

    /// Exposes series that are known at this moment, each with its labels' values.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn expose<'a, M: EncodeMetric + 'a>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        series: impl IntoIterator<Item = (&'a [String], &'a M)>,
    ) -> fmt::Result {
        let (metric_type, unit) = (self.metric_type(), self.unit.map(Measured::as_unit));
        let mut exposed = encoder.encode_descriptor(self.name, self.help, unit.as_ref(), metric_type)?;
        for (values, metric) in series {
            let values = values.iter().map(String::as_str);
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values).collect();
            if labels.is_empty() {
                // An empty set would be written as braces around nothing.
                return metric.encode(exposed);
            }
            metric.encode(exposed.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Exposes one number without labels.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn expose_number(&self, encoder: &mut DescriptorEncoder<'_>, number: i64) -> fmt::Result {
        let (metric_type, unit) = (self.metric_type(), self.unit.map(Measured::as_unit));
        encoder.encode_descriptor(self.name, self.help, unit.as_ref(), metric_type)?.encode_gauge(&number)
    }

    const fn metric_type(&self) -> MetricType {
        match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram(_) => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        }
    }
}

impl Measured {
    fn as_unit(self) -> Unit {
        match self {
            Measured::Seconds => Unit::Seconds,
            Measured::Bytes => Unit::Bytes,
        }
    }
}

/// One series.
pub trait Series: EncodeMetric + Clone + Send + Sync {
    /// One that nothing was counted into yet.
    fn new(kind: Kind) -> Self;
}

impl Series for Counter {
    fn new(_: Kind) -> Self {
        Self::default()
    }
}

impl Series for Gauge {
    fn new(_: Kind) -> Self {
        Self::default()
    }
}

impl Series for Histogram {
    fn new(kind: Kind) -> Self {
        static NONE: Buckets = Buckets { bounds: &[], ticks_per_unit: 1 };
        match kind {
            Kind::Histogram(buckets) => Histogram::new(buckets),
            Kind::Counter | Kind::Gauge | Kind::Info => Histogram::new(&NONE),
        }
    }
}

/// All series of a metric.
pub struct Family<M> {
    described: &'static Described,
    series: RwLock<BTreeMap<Vec<String>, M>>,
}

impl<M: Series> Family<M> {
    /// A family without series yet.
    pub fn new(described: &'static Described) -> Self {
        Self { described, series: RwLock::default() }
    }

    /// The series of these label values, in the order of the label names. Keep it where it is needed often.
    pub fn of(&self, values: &[&str]) -> M {
        debug_assert_eq!(values.len(), self.described.labels.len(), "{}", self.described.name);
        let key: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        if let Some(known) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.entry(key).or_insert_with(|| M::new(self.described.kind)).clone()
    }

    /// Exposes all of them, in the order of their labels.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn expose(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        self.described.expose(encoder, series.iter().map(|(values, metric)| (values.as_slice(), metric)))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::collector::Collector;
    use prometheus_client::registry::Registry;

    use super::super::histogram::ITEMS;
    use super::*;

    static SENT: Described = Described::counter("sent", &["lane", "way"], "What was sent.");
    static TOOK: Described =
        Described::histogram("took", &ITEMS, &[], "What it took.").in_unit(Measured::Seconds);

    struct Both(Family<Counter>, Family<Histogram>);

    impl fmt::Debug for Both {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Both")
        }
    }

    impl Collector for Both {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            self.0.expose(&mut encoder)?;
            self.1.expose(&mut encoder)
        }
    }

    #[test]
    fn series_are_exposed_in_the_order_of_their_labels() {
        let both = Both(Family::new(&SENT), Family::new(&TOOK));
        both.0.of(&["b", "y"]).inc_by(2);
        both.0.of(&["a", "z"]).inc();
        both.0.of(&["b", "y"]).inc();
        both.1.of(&[]).observe(1);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(both));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let head = "# HELP sent What was sent.\n# TYPE sent counter\n\
                    sent_total{lane=\"a\",way=\"z\"} 1\nsent_total{lane=\"b\",way=\"y\"} 3\n\
                    # HELP took_seconds What it took.\n# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n\
                    took_seconds_sum 1.0\ntook_seconds_count 1\ntook_seconds_bucket{le=\"0.0\"} 0\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.ends_with("took_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n"), "{text}");
    }

    #[test]
    fn names_end_in_unit_and_suffix() {
        assert_eq!([SENT.full_name(), TOOK.full_name()], ["sent_total", "took_seconds"]);
        assert_eq!(Described::info("build", &["version"], "").full_name(), "build_info");
    }
}
