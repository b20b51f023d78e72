//! The latest messages with everything in them. When the store is full the *oldest* go, and are counted.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::clock::rfc3339_ms;
use crate::limits::{MAX_KEPT_BODIES, MAX_KEPT_BODY_BYTES, MAX_LIST_BYTES};
use crate::message::TargetKind;
use crate::topics::Reached;

/// One accepted send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedMessage {
    /// Its number; ask for what comes after it.
    pub cursor: u64,
    /// Token, installation id, topic or condition.
    pub target: String,
    /// Which of them.
    pub target_kind: TargetKind,
    /// Project id.
    pub project: String,
    /// `message.data.pabal_id`, empty if absent.
    pub pabal_id: String,
    /// RFC 3339 with milliseconds, UTC, by the system's clock.
    pub received_at: String,
    /// The subscribed devices that a send to a topic or condition reached; absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
    /// The `message` of the request, as sent.
    pub message: Value,
}

/// A request's body as it came; read again only when someone lists it.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) project: usize,
    pub(super) received_at_ms: i64,
    pub(super) json: Arc<[u8]>,
    pub(super) reached: Option<Reached>,
}

impl Body {
    /// What it counts for the bound. The names of devices count whole, though they may be shared.
    fn bytes(&self) -> usize {
        let registrations = self.reached.iter().flat_map(|reached| reached.registrations.iter());
        let reached = registrations.map(|registration| size_of::<Arc<str>>() + registration.len());
        self.json.len() + reached.sum::<usize>()
    }

    /// None for a body that isn't a request, which is never accepted.
    pub(super) fn read(&self, cursor: u64, projects: &[&str]) -> Option<ReceivedMessage> {
        let mut request: Value = serde_json::from_slice(&self.json).ok()?;
        let message = request.get_mut("message")?.take();
        let (target_kind, target) = TargetKind::ALL.into_iter().find_map(|kind| {
            let value = message.get(kind.as_str())?.as_str().filter(|value| !value.is_empty())?;
            Some((kind, value.to_owned()))
        })?;
        let pabal_id = message.pointer("/data/pabal_id").and_then(Value::as_str).unwrap_or_default();
        Some(ReceivedMessage {
            cursor,
            target,
            target_kind,
            project: (*projects.get(self.project)?).to_owned(),
            pabal_id: pabal_id.to_owned(),
            received_at: rfc3339_ms(self.received_at_ms),
            reached: self.reached.clone(),
            message,
        })
    }
}

#[derive(Debug)]
pub(super) struct Bodies {
    kept: VecDeque<(u64, Body)>,
    bytes: usize,
    dropped: u64,
    max_entries: usize,
    max_bytes: usize,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies::bounded(MAX_KEPT_BODIES, MAX_KEPT_BODY_BYTES)
    }
}

impl Bodies {
    fn bounded(max_entries: usize, max_bytes: usize) -> Bodies {
        Bodies { kept: VecDeque::new(), bytes: 0, dropped: 0, max_entries, max_bytes }
    }

    pub(super) fn push(&mut self, cursor: u64, body: Body) {
        self.bytes += body.bytes();
        self.kept.push_back((cursor, body));
        while self.kept.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.dropped += 1;
        }
    }

    /// Up to `limit` bodies after a cursor, and not many more bytes than [`MAX_LIST_BYTES`].
    pub(super) fn after(&self, cursor: u64, limit: usize) -> Vec<(u64, Body)> {
        let start = self.kept.partition_point(|(at, _)| *at <= cursor);
        let mut bytes = 0;
        let page = self.kept.range(start..).take(limit).take_while(|(_, body)| {
            let fits = bytes <= MAX_LIST_BYTES;
            bytes += body.bytes();
            fits
        });
        page.cloned().collect()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        Body { project: 0, received_at_ms: 0, json: json.as_bytes().into(), reached: None }
    }

    #[test]
    fn the_devices_reached_count_for_the_bound() {
        let registrations: Arc<[Arc<str>]> = Arc::new(["0123456789".into(), "x".into()]);
        let reached = Some(Reached { count: 2, registrations });
        let body = Body { reached, ..body(r#"{"message":{"topic":"t"}}"#) };
        assert_eq!(body.bytes(), body.json.len() + 2 * size_of::<Arc<str>>() + 11);
        assert_eq!(body.read(1, &["demo"]).unwrap().reached, body.reached);
    }

    #[test]
    fn when_full_the_oldest_go() {
        let mut by_count = Bodies::bounded(2, usize::MAX);
        let mut by_bytes = Bodies::bounded(usize::MAX, 4);
        for bodies in [&mut by_count, &mut by_bytes] {
            for cursor in 1..=4 {
                bodies.push(cursor, body("{}"));
            }
            let kept: Vec<u64> = bodies.after(0, 10).into_iter().map(|(cursor, _)| cursor).collect();
            assert_eq!(kept, [3, 4]);
            assert_eq!(bodies.after(3, 10).len(), 1);
            assert_eq!(bodies.dropped(), 2);
        }
    }

    #[test]
    fn a_page_is_bounded_in_bytes() {
        let mut bodies = Bodies::bounded(10, usize::MAX);
        let half = " ".repeat(MAX_LIST_BYTES / 2 + 1);
        for cursor in 1..=4 {
            bodies.push(cursor, body(&half));
        }
        assert_eq!(bodies.after(0, 10).len(), 2);
        assert_eq!(bodies.after(2, 10).len(), 2);
    }

    #[test]
    fn the_bounds_are_the_named_ones() {
        let bodies = Bodies::default();
        assert_eq!((bodies.max_entries, bodies.max_bytes), (MAX_KEPT_BODIES, MAX_KEPT_BODY_BYTES));
    }

    #[test]
    fn a_body_reads_back_as_sent() {
        let json = r#"{"message":{"fid":"f","data":{"pabal_id":"7"},"android":{"collapse_key":"c"}}}"#;
        let message = body(json).read(9, &["demo"]).unwrap();
        assert_eq!((message.cursor, message.target.as_str(), message.pabal_id.as_str()), (9, "f", "7"));
        assert_eq!(message.target_kind, TargetKind::Fid);
        assert_eq!(message.received_at, "1970-01-01T00:00:00.000Z");
        assert_eq!(message.message["android"]["collapse_key"], "c");
    }
}
