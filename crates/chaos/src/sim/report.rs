//! What came of a run of seeds: for people on stderr, for scripts as JSON on stdout.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::invariant::{Invariant, Violation};
use super::seed::SeedReport;

/// Seeds from which on every invariant must have been exercised.
const SEEDS_THAT_EXERCISE_ALL: u64 = 2000;
/// Failing seeds that are shown with what failed.
const SHOWN_MAX: usize = 20;

/// What came of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) seeds: u64,
    pub(crate) deliveries: u64,
    pub(crate) crashes: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) violations: u64,
    pub(crate) seconds: f64,
    /// How often each invariant was put to the test.
    pub(crate) exercised: BTreeMap<&'static str, u64>,
    pub(crate) failing_seeds: Vec<u64>,
    #[serde(skip)]
    first_violations: BTreeMap<u64, Violation>,
}

impl Report {
    /// Adds a seed.
    pub(crate) fn add(&mut self, number: u64, seed: &SeedReport) {
        self.seeds += 1;
        self.deliveries += seed.stats.deliveries;
        self.crashes += seed.stats.crashes;
        self.lost += seed.stats.lost;
        self.duplicates += seed.stats.duplicates;
        self.violations += seed.tally.violations().len() as u64;
        for invariant in Invariant::ALL {
            *self.exercised.entry(invariant.name()).or_default() += seed.tally.exercised(*invariant);
        }
        if let Some(first) = seed.tally.violations().first() {
            self.failing_seeds.push(number);
            self.first_violations.insert(number, first.clone());
        }
    }

    /// Adds what another thread ran.
    pub(crate) fn merge(&mut self, other: Report) {
        self.seeds += other.seeds;
        self.deliveries += other.deliveries;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.violations += other.violations;
        for (name, count) in other.exercised {
            *self.exercised.entry(name).or_default() += count;
        }
        self.failing_seeds.extend(other.failing_seeds);
        self.failing_seeds.sort_unstable();
        self.first_violations.extend(other.first_violations);
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.seconds = (time.as_secs_f64() * 1000.0).round() / 1000.0;
    }

    /// Invariants that the run never put to the test, though it was long enough to.
    pub(crate) fn unexercised(&self) -> Vec<&'static str> {
        let never = self.exercised.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name);
        if self.seeds >= SEEDS_THAT_EXERCISE_ALL { never.collect() } else { Vec::new() }
    }

    /// Whether everything held, and was put to the test.
    pub(crate) fn holds(&self) -> bool {
        self.lost == 0 && self.violations == 0 && self.unexercised().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seeds, deliveries, crashes, lost, duplicates, violations, seconds, .. } = self;
        writeln!(f, "{seeds} seeds with {deliveries} deliveries and {crashes} crashes in {seconds} s")?;
        writeln!(f, "{lost} lost, {duplicates} duplicates, {violations} violations")?;
        for invariant in Invariant::ALL {
            let chances = self.exercised.get(invariant.name()).copied().unwrap_or(0);
            writeln!(f, "  {:<32} {chances:>10} chances  {}", invariant.name(), invariant.rules())?;
        }
        for name in self.unexercised() {
            writeln!(f, "never exercised: {name}")?;
        }
        for (seed, violation) in self.first_violations.iter().take(SHOWN_MAX) {
            writeln!(f, "seed {seed} breaks {}: {}", violation.invariant.name(), violation.what)?;
        }
        if let Some(seed) = self.failing_seeds.first() {
            writeln!(f, "replay one with: pabal-chaos sim --seed {seed}")?;
        }
        Ok(())
    }
}
