//! `google.protobuf.Duration` in JSON: seconds with up to nine decimals and an `s`, as in `"3.5s"`.

const NANOS_PER_S: i128 = 1_000_000_000;
/// About 10,000 years; the bound protobuf sets.
const MAX_SECONDS: i128 = 315_576_000_000;

/// Why a text is no duration, in the words of Google's JSON front end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("Illegal duration format; duration must end with 's'")]
    NoUnit,
    #[error("Invalid duration format, failed to parse seconds")]
    Seconds,
    #[error("Invalid duration format, failed to parse nano seconds")]
    Nanos,
    #[error("Duration value exceeds limits")]
    Range,
}

/// Nanoseconds of a duration; negative ones are durations too.
pub(crate) fn parse(text: &str) -> Result<i128, DurationError> {
    let number = text.strip_suffix('s').ok_or(DurationError::NoUnit)?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let seconds = digits(seconds, 12).ok_or(DurationError::Seconds)?;
    if seconds > MAX_SECONDS {
        return Err(DurationError::Range);
    }
    let decimals = digits(fraction, 9).ok_or(DurationError::Nanos)?;
    let nanos = decimals * 10_i128.pow(9 - fraction.len() as u32);
    let total = seconds * NANOS_PER_S + nanos;
    Ok(if negative { -total } else { total })
}

/// Nanoseconds of whole seconds.
pub(crate) fn from_seconds(seconds: u64) -> i128 {
    i128::from(seconds) * NANOS_PER_S
}

/// Rounded down; none of a negative duration.
pub(crate) fn whole_seconds(nanos: i128) -> u64 {
    u64::try_from(nanos / NANOS_PER_S).unwrap_or(0)
}

fn digits(text: &str, most: usize) -> Option<i128> {
    let plain = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check =
            |text: &str, expected: Result<i128, DurationError>| assert_eq!(parse(text), expected, "{text}");
        check("0s", Ok(0));
        check("3.5s", Ok(3_500_000_000));
        check("3.000000001s", Ok(3_000_000_001));
        check("-1s", Ok(-NANOS_PER_S));
        check("2419200s", Ok(from_seconds(2_419_200)));
        check("60", Err(DurationError::NoUnit));
        check("", Err(DurationError::NoUnit));
        check("s", Err(DurationError::Seconds));
        check("1e3s", Err(DurationError::Seconds));
        check("+1s", Err(DurationError::Seconds));
        check("1.s", Err(DurationError::Nanos));
        check("1.0000000001s", Err(DurationError::Nanos));
        check("999999999999s", Err(DurationError::Range));
    }
}
