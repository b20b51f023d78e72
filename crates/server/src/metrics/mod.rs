//! What a scrape of `/metrics` shows: the engine's own numbers, those of the HTTP API, and a few of the process.
//!
//! A scrape asks neither queue nor store, and waits for nobody: what has to be read is read in the background
//! ([`Observer`]), so that it answers at once however much waits, and while the store hangs. docs/guide/metrics.md has a
//! row for each metric, and a test holds it against this.

mod http;
mod observer;
mod process;
mod text;

use std::fmt;

use pabal_core::clock::Timestamp;
use pabal_engine::Engine;
use prometheus_client::registry::Registry;

pub(crate) use self::http::HttpMetrics;
pub(crate) use self::observer::Observer;
use self::process::Process;
pub(crate) use self::text::Form;

/// All that a scrape shows.
pub(crate) struct Scrape {
    registry: Registry,
    pub(crate) http: HttpMetrics,
}

impl Scrape {
    pub(crate) fn new(engine: &Engine, started_at: Timestamp) -> Self {
        let http = HttpMetrics::default();
        let mut registry = Registry::default();
        registry.register_collector(engine.collector());
        registry.register_collector(Box::new(http.clone()));
        registry.register_collector(Box::new(Process { started_at }));
        Self { registry, http }
    }

    /// The text of a scrape.
    pub(crate) fn text(&self, form: Form) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(form.of(text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pabal_engine::metrics::{Described, ENGINE};

    use super::*;

    const GUIDE: &str = include_str!("../../../../docs/guide/metrics.md");
    const ALERTS: &str = include_str!("../../../../deploy/prometheus-alerts.yaml");

    fn catalogue() -> impl Iterator<Item = &'static Described> {
        [ENGINE, http::HTTP, process::PROCESS].into_iter().flatten().copied()
    }

    /// A metric's row in the guide.
    fn row(described: &Described) -> String {
        let labels: Vec<String> = described.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (described.full_name(), described.type_name());
        format!("| `{name}` | {kind} | {} | {} |", labels.join(", "), described.help)
    }

    #[test]
    fn every_metric_is_in_the_guide() {
        let rows: Vec<String> = catalogue().map(row).collect();
        let missing: Vec<&String> = rows.iter().filter(|row| !GUIDE.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/guide/metrics.md misses\n{missing:#?}");
        let stale =
            GUIDE.lines().filter(|line| line.starts_with("| `pabal_") && !rows.iter().any(|row| row == line));
        assert_eq!(stale.collect::<Vec<_>>(), [""; 0], "docs/guide/metrics.md has rows of no metric");
    }

    /// The names of metrics in a text, without the endings of a histogram's series.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names = words.filter(|word| word.starts_with("pabal_"));
        names
            .map(|name| {
                ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
            })
            .collect()
    }

    /// The alerts, each with its expression, as the file has them.
    fn alerts() -> Vec<(String, String)> {
        let value = |line: &str, key: &str| Some(line.trim_start().strip_prefix(key)?.trim().to_owned());
        let names = ALERTS.lines().filter_map(|line| value(line, "- alert:"));
        let expressions = ALERTS.lines().filter_map(|line| value(line, "expr:"));
        names.zip(expressions).collect()
    }

    #[test]
    fn alerts_and_guide_name_metrics_that_there_are() {
        let known: Vec<String> = catalogue().map(Described::full_name).collect();
        for name in named(ALERTS).into_iter().chain(named(GUIDE)) {
            assert!(known.iter().any(|known| known == name), "there is no metric {name}");
        }
        assert!(alerts().len() >= 9, "{:?}", alerts());
        assert_eq!(
            ALERTS.matches("expr:").count(),
            alerts().len(),
            "each alert has one expression, on one line"
        );
    }

    #[test]
    fn every_alert_is_explained_in_the_guide_with_its_expression() {
        for (name, expression) in alerts() {
            assert!(GUIDE.contains(&format!("### {name}\n")), "docs/guide/metrics.md says nothing of {name}");
            assert!(
                GUIDE.contains(&expression),
                "docs/guide/metrics.md has another expression for {name}: {expression}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let names: Vec<String> = catalogue().map(Described::full_name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for described in catalogue() {
            assert!(described.name.starts_with("pabal_"), "{}", described.name);
            let is_person =
                |label: &&str| ["user", "device", "token", "key", "app", "notification"].contains(label);
            assert!(!described.labels.iter().any(is_person), "{described:?}");
        }
    }
}
