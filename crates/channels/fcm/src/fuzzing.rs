//! Ways in for the fuzzer (`cargo xtask fuzz`), which is a crate of its own. No part of the interface: they take raw bytes
//! and hold what comes out against what must always be true.

use pabal_core::clock::Timestamp;
use pabal_core::device::Target;
use pabal_core::outcome::{Outcome, OutcomeKind};

use crate::classify::{Answer, classify as judge};
use crate::retry_after::{RETRY_AFTER_MS_MAX, retry_after_ms};

const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

/// An answer of FCM: two bytes of status, then the body. Nothing may retire a device but the provider's explicit word.
///
/// # Panics
/// If it does.
pub fn classify(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_at_checked(2) else { return };
    let status = 100 + u16::from_be_bytes([status[0], status[1]]) % 500;
    let answer = Answer { status, body: bytes::Bytes::copy_from_slice(body), ..Answer::default() };
    let report = judge(&answer, &Target::Token("a-token-of-somebody".into()), NOW);
    let text = String::from_utf8_lossy(body);
    let says = |word: &str| text.contains(word) || text.contains("\\u");
    match report.outcome.kind() {
        OutcomeKind::Unregistered => assert!(says("UNREGISTERED") && says("FcmError"), "{status} {text}"),
        OutcomeKind::SenderMismatch => {
            assert!(says("SENDER_ID_MISMATCH") && says("FcmError"), "{status} {text}")
        }
        OutcomeKind::Delivered => assert!((200..300).contains(&status), "{status} {text}"),
        _ => {}
    }
    if let Outcome::Throttled { retry_after_ms: Some(wait), .. }
    | Outcome::Unavailable { retry_after_ms: Some(wait) } = report.outcome
    {
        assert!(wait <= RETRY_AFTER_MS_MAX, "{wait} from {text}");
    }
    let detail = report.detail.unwrap_or_default();
    assert!(!detail.contains("a-token-of-somebody"), "a detail shows a token: {detail}");
    assert!(detail.chars().count() <= pabal_core::limits::DETAIL_CHARS_MAX, "{detail}");
}

/// `Retry-After` and `Date`, separated by a line feed.
///
/// # Panics
/// If it asks for more than the longest wait.
pub fn retry_after(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (value, date) = text.split_once('\n').map_or((&*text, None), |(value, date)| (value, Some(date)));
    if let Some(wait) = retry_after_ms(value, date, NOW) {
        assert!(wait <= RETRY_AFTER_MS_MAX, "{wait}");
    }
}
