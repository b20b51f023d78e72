//! What is logged, and how.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::shape::Misfit;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// A filter as `tracing` reads it: `info`, or `info,pabal_engine=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl LogSection {
    /// The level as a filter.
    ///
    /// # Errors
    /// If it is none. A lone word that is no level is refused too: it would name a part of the program that does not
    /// exist, and so log nothing at all.
    pub fn filter(&self) -> Result<EnvFilter, Misfit> {
        let refuse = || {
            let problem =
                "must be error, warn, info, debug, trace or off, or a filter as info,pabal_engine=debug";
            Misfit::value("log.level", problem)
        };
        let directives: Vec<&str> = self.level.split(',').map(str::trim).collect();
        let is_sound = |directive: &str| directive.contains('=') || directive.parse::<LevelFilter>().is_ok();
        if !directives.iter().all(|directive| !directive.is_empty() && is_sound(directive)) {
            return Err(refuse());
        }
        EnvFilter::try_new(directives.join(",")).map_err(|_| refuse())
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        self.filter().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_turn_the_log_off_unasked_is_refused() {
        let filter = |level: &str| LogSection { level: level.to_owned(), ..LogSection::default() }.filter();
        for level in ["info", "WARN", "off", "info,pabal_engine=debug", "warn, pabal_server=trace"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["inof", "loud", "", "info,", "info,pabal_engine", "pabal_engine=loud", "info debug"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
