//! Times as the API writes them: RFC 3339 in UTC, with milliseconds.

use jiff::Timestamp as Instant;
use pabal_core::clock::Timestamp;
use pabal_core::ids::Invalid;
use serde::{Serialize, Serializer};

/// A time in an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instant = Instant::from_millisecond(self.0.as_ms()).unwrap_or(Instant::MAX);
        serializer.collect_str(&format_args!("{instant:.3}"))
    }
}

/// Reads a time in a request.
pub(super) fn parse(what: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    let instant: Instant = text.parse().map_err(|_| {
        Invalid::new(what, "must be a time with its offset, as 2026-11-22T18:30:00+09:00 (RFC 3339)")
    })?;
    Ok(Timestamp::from_ms(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let written = serde_json::to_string(&Time(Timestamp::from_ms(1_700_000_000_120))).unwrap();
        assert_eq!(written, "\"2023-11-14T22:13:20.120Z\"");
        let read = |text| parse("send_at", text).map(Timestamp::as_ms);
        assert_eq!(read("2023-11-15T07:13:20.12+09:00"), Ok(1_700_000_000_120));
        assert!(
            read("2023-11-15T07:13:20").is_err(),
            "a time without an offset means another one everywhere"
        );
        assert!(read("tomorrow").is_err());
    }
}
