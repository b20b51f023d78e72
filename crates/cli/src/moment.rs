//! Moments on the command line: a time, or how long it is from now.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

const SHAPE: &str =
    "write a time with its offset, as 2026-11-22T18:30:00+09:00, or a span as 30m, 2h, 3d or 1w";

/// A time, or a span whose direction the option gives: `--since 2h` is two hours ago, `--expires 90d` in ninety days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A time.
    At(Timestamp),
    /// So long from now.
    Span(SignedDuration),
}

impl Moment {
    /// The time, a span being before `now`; as requests have it.
    pub(crate) fn back_from(self, now: Timestamp) -> String {
        self.from(now, SignedDuration::ZERO.saturating_sub(self.span()))
    }

    /// The time, a span being after `now`; as requests have it.
    pub(crate) fn on_from(self, now: Timestamp) -> String {
        self.from(now, self.span())
    }

    const fn span(self) -> SignedDuration {
        match self {
            Moment::At(_) => SignedDuration::ZERO,
            Moment::Span(span) => span,
        }
    }

    fn from(self, now: Timestamp, way: SignedDuration) -> String {
        let at = match self {
            Moment::At(at) => at,
            Moment::Span(_) => now.saturating_add(way).unwrap_or(now),
        };
        format!("{at:.3}")
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Moment::At(at));
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_s = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            "w" => 7 * 24 * 60 * 60,
            _ => return Err(SHAPE.to_owned()),
        };
        let count: u32 = digits.parse().map_err(|_| SHAPE.to_owned())?;
        Ok(Moment::Span(SignedDuration::from_secs(i64::from(count) * unit_s)))
    }
}

/// From when until when.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SpanArgs {
    /// Not before this time, as 2026-11-22T18:30:00+09:00, or how long ago, as 2h or 3d.
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Before this time, in the same forms.
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

impl SpanArgs {
    /// Since when.
    pub(crate) fn since(&self) -> Option<String> {
        self.since.map(|moment| moment.back_from(Timestamp::now()))
    }

    /// Until when.
    pub(crate) fn until(&self) -> Option<String> {
        self.until.map(|moment| moment.back_from(Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_are_read() {
        let now: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
        let ago = |text: &str| text.parse::<Moment>().map(|moment| moment.back_from(now));
        assert_eq!(ago("2h").unwrap(), "2026-11-22T07:30:00.000Z");
        assert_eq!(ago("3d").unwrap(), "2026-11-19T09:30:00.000Z");
        assert_eq!(ago("2026-11-22T18:30:00.5+09:00").unwrap(), "2026-11-22T09:30:00.500Z");
        assert_eq!("1w".parse::<Moment>().unwrap().on_from(now), "2026-11-29T09:30:00.000Z");
        for wrong in
            ["", "2", "h", "-2h", "2 h", "2x", "2026-11-22", "2026-11-22T18:30:00", "99999999999h", "2시"]
        {
            assert_eq!(ago(wrong), Err(SHAPE.to_owned()), "{wrong}");
        }
        assert!(!ago("4294967295w").unwrap().is_empty(), "what is too far is no panic");
    }
}
