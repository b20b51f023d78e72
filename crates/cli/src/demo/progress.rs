//! Progress: one line that is rewritten on a terminal, a line every other second in a pipe or a file.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use pabal_core::delivery::{DeliveryState, Reason};

use super::report::thousands;

/// How often a line is added where nothing can be rewritten.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Tells how it goes.
pub(super) struct Progress {
    began: Instant,
    rewrites: bool,
    to_stderr: bool,
    last_line: Cell<Option<Instant>>,
    line_is_open: Cell<bool>,
}

/// How many deliveries are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) open: u64,
    pub(super) retrying: u64,
    pub(super) failed: u64,
}

impl Counts {
    pub(super) fn new(totals: &[(DeliveryState, Option<Reason>, u64)]) -> Self {
        let mut counts = Self::default();
        for (state, _, count) in totals {
            match state {
                DeliveryState::Scheduled => counts.open += count,
                DeliveryState::Retrying => {
                    counts.open += count;
                    counts.retrying += count;
                }
                DeliveryState::Delivered => counts.delivered += count,
                DeliveryState::Dead
                | DeliveryState::Expired
                | DeliveryState::Cancelled
                | DeliveryState::Undeliverable => counts.failed += count,
            }
        }
        counts
    }
}

impl Progress {
    /// With `json`, standard output belongs to the report and progress goes to standard error.
    pub(super) fn new(json: bool, began: Instant) -> Self {
        let rewrites = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Self { began, rewrites, to_stderr: json, last_line: Cell::new(None), line_is_open: Cell::new(false) }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A sentence.
    pub(super) fn say(&self, text: &str) {
        self.end_line();
        self.write(&format!("{text}\n"));
    }

    /// How it goes.
    pub(super) fn show(&self, counts: &Counts) {
        let line = format!(
            "{:>4} s   delivered {:>6}   waiting {:>6}, of them to be retried {:>5}   failed for good {:>4}",
            self.elapsed().as_secs(),
            thousands(counts.delivered),
            thousands(counts.open),
            thousands(counts.retrying),
            thousands(counts.failed),
        );
        if self.rewrites {
            self.write(&format!("\r{line}\x1b[K"));
            self.line_is_open.set(true);
        } else if self.last_line.get().is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.write(&format!("{line}\n"));
            self.last_line.set(Some(Instant::now()));
        }
    }

    /// Ends a line that could still be rewritten.
    pub(super) fn end_line(&self) {
        if self.line_is_open.replace(false) {
            self.write("\n");
        }
    }

    /// A reader that has gone away is no reason to stop.
    fn write(&self, text: &str) {
        let written = if self.to_stderr {
            std::io::stderr().write_all(text.as_bytes())
        } else {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        if let Err(error) = written {
            tracing::debug!(%error, "nobody reads the progress");
        }
    }
}
