//! Ways in for the fuzzer (`cargo xtask fuzz`), which is a crate of its own. No part of the interface: they take raw bytes
//! and hold what comes out against what must always be true.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pabal_core::clock::Timestamp;
use pabal_core::device::Target;
use pabal_core::outcome::{Outcome, OutcomeKind};

use crate::classify::{Answer, classify as judge};
use crate::no_proxy::NoProxy;
use crate::proxy::{read_head, status_of};
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

/// What a proxy answers to CONNECT; and the same bytes as a host, a line feed, and what goes past a proxy (`NO_PROXY`).
///
/// # Panics
/// If half a head is taken for an answer, what came after it is miscounted, or an entry is read by what stands beside it.
pub fn proxy_answer(bytes: &[u8]) {
    let mut stream = bytes;
    // Bytes in memory keep nobody waiting.
    let read = pin!(read_head(&mut stream)).poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Ok((head, rest))) = read {
        let end = head.len() - rest;
        assert!(head[..end].ends_with(b"\r\n\r\n"), "half a head");
        assert!(!head[..end - 1].windows(4).any(|bytes| bytes == b"\r\n\r\n"), "more than a head");
        if let Some(status) = status_of(&head) {
            assert!(head.starts_with(b"HTTP/1."), "{status} of no HTTP");
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let (host, list) = text.split_once('\n').unwrap_or(("fcm.googleapis.com", &text));
    let Ok(past) = list.parse::<NoProxy>();
    let is_past = past.holds(host, 443);
    let Ok(all) = format!("{list},*").parse::<NoProxy>();
    assert!(all.holds(host, 443), "an entry takes from what others name: {list}");
    let Ok(twice) = format!("{list},{list}").parse::<NoProxy>();
    assert_eq!(twice.holds(host, 443), is_past, "said twice it means something else: {list}");
    assert_eq!(past.holds(&host.to_ascii_uppercase(), 443), is_past, "letters are large or small: {host}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_of_proxies_are_read_without_a_complaint() {
        for seed in [
            &include_bytes!("../../../../fuzz/corpus/proxy_answer/established")[..],
            include_bytes!("../../../../fuzz/corpus/proxy_answer/refused"),
            include_bytes!("../../../../fuzz/corpus/proxy_answer/no_proxy"),
            b"",
            b"\r\n\r\n\r\n\r\n",
            b"HTTP/1.1 2",
        ] {
            proxy_answer(seed);
        }
    }
}
