//! What `Retry-After` says, as milliseconds. Pure: the answer's own `Date` is a parameter, and so is the time now.
//!
//! Source: RFC 9110, section 10.2.3 (delay-seconds or HTTP-date) and 5.6.7 (HTTP-date). A date is reckoned against
//! the answer's own `Date`, so that a clock that is wrong here makes no wait longer or shorter.

use std::time::{Duration, UNIX_EPOCH};

use pabal_core::clock::Timestamp;
use pabal_core::limits::TTL_S_MAX;

/// The longest wait that is believed: four weeks, after which no notification is worth delivering.
pub(crate) const RETRY_AFTER_MS_MAX: u64 = TTL_S_MAX * 1000;

/// How long to wait, by the text of `Retry-After`; `None` if it makes no sense. `date` is the text of the answer's
/// `Date`; without one, `now` stands in.
pub(crate) fn retry_after_ms(value: &str, date: Option<&str>, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(seconds_ms(value));
    }
    let until = http_date(value)?;
    let from = date.and_then(http_date).unwrap_or(now);
    Some(from.ms_until(until).min(RETRY_AFTER_MS_MAX))
}

/// Digits as seconds. More of them than a number holds still mean "very long".
fn seconds_ms(digits: &str) -> u64 {
    digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000).min(RETRY_AFTER_MS_MAX)
}

/// How long to wait, by the sentence with which Google's gateways close their HTML pages: "Please try again in 30
/// seconds."
pub(crate) fn retry_sentence_ms(text: &str) -> Option<u64> {
    const BEGINS: &str = "try again in ";
    let (_, after) = text.split_once(BEGINS)?;
    let digits = &after[..after.bytes().take_while(u8::is_ascii_digit).count()];
    let unit = after[digits.len()..].trim_start();
    (!digits.is_empty() && unit.starts_with("second")).then(|| seconds_ms(digits))
}

/// A duration as Google's JSON writes it: `"30s"`, `"1.5s"`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(RETRY_AFTER_MS_MAX))
}

/// A date of HTTP's.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_ms(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_MS: i64 = 784_111_777_000;

    fn check(value: &str, date: Option<&str>, expect: Option<u64>) {
        let now = Timestamp::from_ms(DATE_MS + 5_000);
        assert_eq!(retry_after_ms(value, date, now), expect, "{value} at {date:?}");
    }

    #[test]
    fn seconds_are_read_and_bounded() {
        check("0", None, Some(0));
        check(" 120 ", None, Some(120_000));
        check("99999999999", None, Some(RETRY_AFTER_MS_MAX));
        check(&"9".repeat(40), None, Some(RETRY_AFTER_MS_MAX));
    }

    #[test]
    fn dates_are_reckoned_against_the_answers_own_date() {
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(DATE), Some(60_000));
        check("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(55_000));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), Some(55_000));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(DATE), Some(0));
        check("Sun, 06 Nov 2094 08:00:00 GMT", Some(DATE), None); // a Saturday: the day's name is wrong
        check("Sat, 06 Nov 2094 08:00:00 GMT", Some(DATE), Some(RETRY_AFTER_MS_MAX));
    }

    #[test]
    fn garbage_says_nothing() {
        for value in ["", " ", "-1", "1.5", "+3", "soon", "1 2", "12s", "Sun, 06 Nov", "٣"] {
            check(value, Some(DATE), None);
        }
    }

    #[test]
    fn the_sentence_of_an_html_page_is_a_hint() {
        assert_eq!(retry_sentence_ms("That's an error. Please try again in 30 seconds. "), Some(30_000));
        assert_eq!(retry_sentence_ms("try again in 1 second"), Some(1_000));
        assert_eq!(retry_sentence_ms("try again in 30 minutes"), None);
        assert_eq!(retry_sentence_ms("try again in a while"), None);
        assert_eq!(retry_sentence_ms("try again in seconds"), None);
    }

    #[test]
    fn durations_of_google() {
        assert_eq!(duration_ms("30s"), Some(30_000));
        assert_eq!(duration_ms("1.5s"), Some(1_500));
        for text in ["30", "-1s", "s", "NaNs", "infs"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_all_is_bounded(value in ".{0,40}", date in proptest::option::of(".{0,40}"), now in any::<i64>()) {
            let ms = retry_after_ms(&value, date.as_deref(), Timestamp::from_ms(now));
            prop_assert!(ms.is_none_or(|ms| ms <= RETRY_AFTER_MS_MAX));
            prop_assert!(retry_sentence_ms(&value).is_none_or(|ms| ms <= RETRY_AFTER_MS_MAX));
            prop_assert!(duration_ms(&value).is_none_or(|ms| ms <= RETRY_AFTER_MS_MAX));
        }

        #[test]
        fn a_date_is_as_far_as_it_says(after in 0u64..100_000) {
            let until = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(DATE_MS as u64) + Duration::from_secs(after));
            prop_assert_eq!(retry_after_ms(&until, Some(DATE), Timestamp::from_ms(0)), Some(after * 1000));
        }
    }
}
