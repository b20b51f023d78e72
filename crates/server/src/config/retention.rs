//! How long what has ended is kept.

use pabal_engine::RetentionPolicy;
use serde::Deserialize;

use crate::shape::Misfit;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Days that can be asked for: a hundred years.
const DAYS_MAX: u64 = 36_500;
/// Bytes of the unit of `size_max_mb`.
const MB: u64 = 1024 * 1024;

/// How long what has ended is kept. What is open is kept whatever these say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// Days that a notification is kept after the last of its deliveries ended.
    pub ended_days: u64,
    /// The same where one of them is dead.
    pub dead_days: u64,
    /// Size of the store beyond which what ended first is forgotten early; 0 for no bound.
    pub size_max_mb: u64,
    /// How often it is looked for.
    pub check_every_ms: u64,
    /// What the store's disk is to have left: below it the log warns. 0 for never.
    pub disk_free_warn_mb: u64,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            ended_days: 30,
            dead_days: 90,
            size_max_mb: 0,
            check_every_ms: 60_000,
            disk_free_warn_mb: 1024,
        }
    }
}

impl RetentionSection {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        let days = [("retention.ended_days", self.ended_days), ("retention.dead_days", self.dead_days)];
        if let Some((path, _)) = days.iter().find(|(_, days)| *days > DAYS_MAX) {
            return Err(Misfit::value(*path, format!("is more than {DAYS_MAX}")));
        }
        if self.dead_days < self.ended_days {
            return Err(Misfit::value("retention.dead_days", "is below ended_days"));
        }
        if self.check_every_ms == 0 {
            return Err(Misfit::value("retention.check_every_ms", "is zero"));
        }
        Ok(())
    }

    /// The bytes that the disk is to have left.
    pub(crate) fn disk_free_warn_bytes(&self) -> u64 {
        self.disk_free_warn_mb.saturating_mul(MB)
    }

    /// What the engine's pruner goes by.
    pub(super) fn policy(&self) -> RetentionPolicy {
        RetentionPolicy {
            ended_ms: self.ended_days * DAY_MS,
            dead_ms: self.dead_days * DAY_MS,
            size_bytes_max: (self.size_max_mb > 0).then(|| self.size_max_mb.saturating_mul(MB)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_engines_own() {
        assert_eq!(RetentionSection::default().policy(), RetentionPolicy::default());
    }

    #[test]
    fn nonsense_is_named() {
        let check = |change: fn(&mut RetentionSection)| {
            let mut section = RetentionSection::default();
            change(&mut section);
            section.check().unwrap_err().to_string()
        };
        assert_eq!(check(|s| s.ended_days = 91), "retention.dead_days: is below ended_days");
        assert_eq!(check(|s| s.dead_days = DAYS_MAX + 1), "retention.dead_days: is more than 36500");
        assert_eq!(check(|s| s.check_every_ms = 0), "retention.check_every_ms: is zero");
    }

    #[test]
    fn megabytes_are_bytes_and_zero_is_no_bound() {
        let sized = |size_max_mb| RetentionSection { size_max_mb, ..RetentionSection::default() }.policy();
        assert_eq!(sized(2).size_bytes_max, Some(2 * 1024 * 1024));
        assert_eq!(sized(0).size_bytes_max, None);
    }
}
