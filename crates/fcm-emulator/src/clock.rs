//! The emulator's idea of the time, which tests may shift: an `iat` refusal is a disagreement of clocks, and the
//! answer's `Date` header is how a client notices.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

const DAY_S: i64 = 86_400;

/// System time plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_s: AtomicI64,
}

impl Clock {
    /// Seconds since the epoch by the shifted clock.
    pub(crate) fn now_s(&self) -> i64 {
        unix_ms().div_euclid(1_000).saturating_add(self.offset_s.load(Ordering::Relaxed))
    }

    pub(crate) fn set_offset_s(&self, offset_s: i64) {
        self.offset_s.store(offset_s, Ordering::Relaxed);
    }

    /// The `Date` header, when it differs from the one hyper adds by itself (and caches).
    pub(crate) fn shifted_date(&self) -> Option<HeaderValue> {
        if self.offset_s.load(Ordering::Relaxed) == 0 {
            return None;
        }
        HeaderValue::try_from(http_date(self.now_s())).ok()
    }
}

/// Milliseconds since the epoch by the system's clock, whatever the offset.
pub(crate) fn unix_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(_) => 0, // a clock before 1970
    }
}

/// `2026-07-01T12:00:00.123Z`.
pub(crate) fn rfc3339_ms(unix_ms: i64) -> String {
    let at = Civil::from_unix_s(unix_ms.div_euclid(1_000));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
        unix_ms.rem_euclid(1_000)
    )
}

/// `Wed, 01 Jul 2026 12:00:00 GMT` (RFC 9110, IMF-fixdate).
fn http_date(unix_s: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // the epoch was a Thursday
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = Civil::from_unix_s(unix_s);
    let weekday = WEEKDAYS[unix_s.div_euclid(DAY_S).rem_euclid(7) as usize];
    let month = MONTHS[usize::from(at.month) - 1];
    format!(
        "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        at.day, at.year, at.hour, at.minute, at.second
    )
}

/// A UTC date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i32,
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to 31.
    pub(crate) day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Civil {
    /// Days to civil date by the era method of the proleptic Gregorian calendar: years start in March, so that the
    /// leap day is the last one, and 400 years always have 146,097 days.
    pub(crate) fn from_unix_s(unix_s: i64) -> Civil {
        let of_day = unix_s.rem_euclid(DAY_S);
        let days = unix_s.div_euclid(DAY_S) + 719_468; // days from 0000-03-01 to the epoch
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil {
            year: year as i32,
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_known_instants() {
        let check = |unix_s: i64, http: &str, rfc3339: &str| {
            assert_eq!(http_date(unix_s), http);
            assert_eq!(rfc3339_ms(unix_s * 1_000), rfc3339);
        };
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000Z");
        check(1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT", "2025-12-31T23:59:59.000Z");
        check(-1, "Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59.000Z");
    }

    #[test]
    fn only_a_shifted_clock_sets_the_date_itself() {
        let clock = Clock::default();
        assert!(clock.shifted_date().is_none());
        clock.set_offset_s(-3_600);
        assert!(clock.shifted_date().is_some());
        assert!((clock.now_s() - (unix_ms() / 1_000 - 3_600)).abs() <= 1);
    }
}
