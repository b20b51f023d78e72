//! Until when a certificate is valid: the one field of X.509 that an operator has to look after.
//!
//! Source: RFC 5280, section 4.1: `Certificate ::= SEQUENCE { tbsCertificate …}`, where `TBSCertificate ::= SEQUENCE
//! { [0] version OPTIONAL, serialNumber, signature, issuer, validity SEQUENCE { notBefore, notAfter }, … }`; and 4.1.2.5
//! for the two forms of a time.

use jiff::tz::TimeZone;
use pabal_core::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity; `None` where it can't be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (outer, _) = expect(SEQUENCE, certificate)?;
    let (mut fields, _) = expect(SEQUENCE, outer)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (validity, _) = expect(SEQUENCE, fields)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let year_digits = match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    if text.len() != year_digits + 10 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, digits: usize| text[from..from + digits].parse::<i16>().ok();
    let year = number(0, year_digits)?;
    let year = match tag {
        UTC_TIME if year >= 50 => year + 1900,
        UTC_TIME => year + 2000,
        _ => year,
    };
    let pair = |n: usize| number(year_digits + 2 * n, 2).and_then(|value| i8::try_from(value).ok());
    let (month, day) = (pair(0)?, pair(1)?);
    let midnight = jiff::civil::Date::new(year, month, day).ok()?;
    let at = midnight.to_datetime(jiff::civil::Time::new(pair(2)?, pair(3)?, pair(4)?, 0).ok()?);
    // The very end of the year 9999 stands for no end, and lies beyond what can be reckoned with.
    let instant = at.to_zoned(TimeZone::UTC).map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp());
    Some(Timestamp::from_ms(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read() {
        let ms = |tag, text| time(tag, text).map(Timestamp::as_ms);
        assert_eq!(ms(UTC_TIME, "261123023054Z"), Some(1_795_401_054_000));
        assert_eq!(ms(UTC_TIME, "500101000000Z"), Some(-631_152_000_000));
        assert_eq!(ms(GENERALIZED_TIME, "20261123023054Z"), Some(1_795_401_054_000));
        assert_eq!(ms(GENERALIZED_TIME, "99991231235959Z"), Some(jiff::Timestamp::MAX.as_millisecond()));
        for text in ["", "Z", "261123023054", "26112302305Z", "261323023054Z", "2611230230+4Z"] {
            assert_eq!(ms(UTC_TIME, text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        for (year, ms) in [(2031, 1_924_992_000_000), (2061, 2_871_763_200_000)] {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(Timestamp::from_ms(ms)), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let whole = params.self_signed(&key).unwrap();
        for length in 0..100 {
            assert_eq!(not_after(&whole.der()[..length]), None);
        }
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(not_after(&[0x30; 64]), None);
    }
}
