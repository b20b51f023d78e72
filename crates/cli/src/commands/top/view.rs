//! What the screen shows: the last numbers, and how fast they change.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::fields::{items, text};

/// States in the order of their life; what else the server knows follows.
const STATES: [&str; 7] =
    ["scheduled", "retrying", "delivered", "dead", "expired", "cancelled", "undeliverable"];

/// How an app stands, and how it changes.
pub(super) struct View {
    pub(super) url: String,
    pub(super) stats: Value,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
    at: Instant,
    rates: BTreeMap<String, f64>,
}

/// A row of the table of states.
#[derive(Debug, PartialEq)]
pub(super) struct StateRow {
    pub(super) state: String,
    pub(super) count: u64,
    /// Change per second; unknown at the first look.
    pub(super) rate: Option<f64>,
}

impl View {
    pub(super) fn new(url: &str, stats: Value, at: Instant) -> Self {
        Self { url: url.to_owned(), stats, trouble: None, at, rates: BTreeMap::new() }
    }

    /// Takes new numbers.
    pub(super) fn take(&mut self, stats: Value, now: Instant) {
        let seconds = now.duration_since(self.at).as_secs_f64();
        if seconds > 0.0 {
            let rate =
                |state: &str| (count(&stats, state) as f64 - count(&self.stats, state) as f64) / seconds;
            self.rates = states(&stats).into_iter().map(|state| (state.clone(), rate(&state))).collect();
        }
        (self.stats, self.at, self.trouble) = (stats, now, None);
    }

    /// Keeps the last numbers, whose rates are past.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.trouble = Some(format!("{error:#}"));
        self.rates.clear();
    }

    /// The table of states.
    pub(super) fn rows(&self) -> Vec<StateRow> {
        let row = |state: String| StateRow {
            count: count(&self.stats, &state),
            rate: self.rates.get(&state).copied(),
            state,
        };
        states(&self.stats).into_iter().map(row).collect()
    }

    /// The routes that are held, and why.
    pub(super) fn paused(&self) -> Vec<String> {
        items(&self.stats, "paused").map(super::super::stats::pause_line).collect()
    }

    /// Which app.
    pub(super) fn app(&self) -> &str {
        text(&self.stats, "app")
    }
}

fn count(stats: &Value, state: &str) -> u64 {
    stats["deliveries"][state].as_u64().unwrap_or_default()
}

fn states(stats: &Value) -> Vec<String> {
    let known = STATES.iter().map(|state| (*state).to_owned());
    let others = stats["deliveries"].as_object().into_iter().flatten().map(|(state, _)| state.clone());
    known.chain(others.filter(|state| !STATES.contains(&state.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn rates_are_changes_per_second() {
        let began = Instant::now();
        let stats = |delivered: u64, retrying: u64| json!({ "deliveries": { "delivered": delivered, "retrying": retrying, "new": 1 } });
        let mut view = View::new("u", stats(100, 30), began);
        let row = |view: &View, state: &str| view.rows().into_iter().find(|row| row.state == state).unwrap();
        assert_eq!(row(&view, "delivered").rate, None);
        view.take(stats(600, 10), began + Duration::from_secs(2));
        assert_eq!((row(&view, "delivered").count, row(&view, "delivered").rate), (600, Some(250.0)));
        assert_eq!(row(&view, "retrying").rate, Some(-10.0));
        assert_eq!(row(&view, "new").count, 1, "a state that this program does not know is shown");
        view.fail(&anyhow::anyhow!("gone"));
        assert_eq!((row(&view, "delivered").count, row(&view, "delivered").rate), (600, None));
        assert_eq!(view.trouble.as_deref(), Some("gone"));
    }
}
