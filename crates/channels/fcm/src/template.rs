//! A body that is encoded once per notification, with slots for what differs between deliveries: the target, and
//! what is left of the time to live. A send copies the ready pieces and fills the slots; it serialises nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pabal_core::clock::Timestamp;
use pabal_core::device::Target;
use pabal_core::ids::NotificationId;
use pabal_core::limits;
use pabal_core::message::Message;
use pabal_core::route::Platform;
use pabal_core::seam::channel::Outbound;
use serde_json::{Map, Value};

/// Bytes of the templates that a [`TemplateCache`] keeps.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Templates that a [`TemplateCache`] keeps.
const CACHE_ENTRIES_MAX: usize = 4096;
/// Bytes that the slots of a body take, at a guess, so that filling them rarely grows the buffer.
const SLOTS_BYTES_GUESS: usize = 256;

/// What is filled in per delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// `"token":"…"`, or another kind of target.
    Target,
    /// Whole seconds that are left.
    Ttl,
    /// The second since 1970 at which none are left; 0 for "now or never", as APNs reads it.
    ExpiresAt,
}

/// A body with slots.
#[derive(Debug)]
pub(crate) struct Template {
    /// What stands before each slot.
    pieces: Vec<(String, Slot)>,
    /// What stands after the last one.
    tail: String,
}

impl Template {
    /// From the fields of `Message` without its target. A `null` where a time to live belongs becomes a slot.
    pub(crate) fn new(message: &Map<String, Value>, validate_only: bool) -> Self {
        let mut template = Template { pieces: Vec::new(), tail: "{\"message\":{".to_owned() };
        template.push_slot(Slot::Target);
        for (key, value) in message {
            template.tail.push(',');
            template.push_entry(key, value, &mut Vec::new());
        }
        template.tail.push_str(if validate_only { "},\"validateOnly\":true}" } else { "}}" });
        template
    }

    fn push_slot(&mut self, slot: Slot) {
        self.pieces.push((std::mem::take(&mut self.tail), slot));
    }

    fn push_entry<'a>(&mut self, key: &'a str, value: &Value, path: &mut Vec<&'a str>) {
        self.tail.push_str(&Value::from(key).to_string());
        self.tail.push(':');
        path.push(key);
        match (slot_at(path), value) {
            (Some((slot, unit)), Value::Null) => {
                self.tail.push('"');
                self.push_slot(slot);
                self.tail.push_str(unit);
                self.tail.push('"');
            }
            (_, Value::Object(_)) => self.push_object(value, path),
            _ => self.tail.push_str(&value.to_string()),
        }
        path.pop();
    }

    fn push_object(&mut self, value: &Value, path: &[&str]) {
        self.tail.push('{');
        for (index, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
            if index > 0 {
                self.tail.push(',');
            }
            self.push_entry(key, value, &mut path.to_vec());
        }
        self.tail.push('}');
    }

    /// The body for one delivery.
    pub(crate) fn fill(&self, target: &Target, remaining_ms: u64, now: Timestamp) -> Bytes {
        let ttl_s = (remaining_ms / 1000).min(limits::TTL_S_MAX);
        let mut body = String::with_capacity(self.len() + SLOTS_BYTES_GUESS);
        for (piece, slot) in &self.pieces {
            body.push_str(piece);
            match slot {
                Slot::Target => push_target(&mut body, target),
                Slot::Ttl => body.push_str(&ttl_s.to_string()),
                Slot::ExpiresAt => body.push_str(&expires_at_s(ttl_s, now).to_string()),
            }
        }
        body.push_str(&self.tail);
        Bytes::from(body)
    }

    fn len(&self) -> usize {
        self.pieces.iter().map(|(piece, _)| piece.len()).sum::<usize>() + self.tail.len()
    }
}

/// The slot that belongs at a place within `Message`, and what follows the number in its string.
fn slot_at(path: &[&str]) -> Option<(Slot, &'static str)> {
    match path {
        ["android" | "androidV2", "ttl"] => Some((Slot::Ttl, "s")),
        ["webpush", "headers", "TTL"] => Some((Slot::Ttl, "")),
        ["apns", "headers", "apns-expiration"] => Some((Slot::ExpiresAt, "")),
        _ => None,
    }
}

fn push_target(body: &mut String, target: &Target) {
    let field = match target {
        Target::Token(_) => "\"token\":",
        Target::Fid(_) => "\"fid\":",
        Target::FcmTopic(_) => "\"topic\":",
        Target::FcmCondition(_) => "\"condition\":",
    };
    body.push_str(field);
    body.push_str(&Value::from(target.address()).to_string());
}

fn expires_at_s(ttl_s: u64, now: Timestamp) -> u64 {
    match ttl_s {
        0 => 0,
        ttl_s => u64::try_from(now.as_ms() / 1000).unwrap_or(0) + ttl_s,
    }
}

/// The templates of the notifications that are being sent. Bounded in entries and bytes; the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct TemplateCache(Mutex<Cached>);

type Key = (NotificationId, Platform);

#[derive(Debug, Default)]
struct Cached {
    templates: HashMap<Key, Entry>,
    /// Oldest first. Holds each key of `templates` once.
    ages: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// What the template was made from: an id alone is a promise, this is a proof.
    message: Arc<Message>,
    template: Arc<Template>,
}

impl TemplateCache {
    /// The template for a delivery, made by `compose` unless it is there.
    pub(crate) fn get(
        &self,
        outbound: &Outbound,
        compose: impl FnOnce(&Message, NotificationId, Platform) -> Template,
    ) -> Arc<Template> {
        let key = (outbound.notification, outbound.platform);
        if let Some(template) = self.lock().find(&key, &outbound.message) {
            return template;
        }
        // Two that miss at once both compose; the lock is not held over it.
        let template = Arc::new(compose(&outbound.message, outbound.notification, outbound.platform));
        let message = Arc::clone(&outbound.message);
        self.lock().put(key, Entry { message, template: Arc::clone(&template) });
        template
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cached {
    fn find(&self, key: &Key, message: &Arc<Message>) -> Option<Arc<Template>> {
        let entry = self.templates.get(key)?;
        let same = Arc::ptr_eq(&entry.message, message) || entry.message == *message;
        same.then(|| Arc::clone(&entry.template))
    }

    fn put(&mut self, key: Key, entry: Entry) {
        self.bytes += entry.template.len();
        match self.templates.insert(key, entry) {
            Some(replaced) => self.bytes -= replaced.template.len(),
            None => self.ages.push_back(key),
        }
        while self.bytes > CACHE_BYTES_MAX || self.ages.len() > CACHE_ENTRIES_MAX {
            let Some(oldest) = self.ages.pop_front() else { break };
            if let Some(gone) = self.templates.remove(&oldest) {
                self.bytes -= gone.template.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::ids::DeliveryId;
    use pabal_core::route::Credential;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn template(message: Value) -> Template {
        Template::new(message.as_object().unwrap(), false)
    }

    fn filled(template: &Template, target: &Target, remaining_ms: u64) -> Value {
        let body = template.fill(target, remaining_ms, Timestamp::from_ms(1_700_000_000_999));
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn slots_are_filled_where_a_time_to_live_belongs() {
        let made = template(json!({
            "android": {"ttl": null, "priority": "HIGH"}, "apns": {"headers": {"apns-expiration": null}},
            "webpush": {"headers": {"TTL": null}, "notification": {"ttl": null}},
        }));
        let token = Target::Token("t".to_owned());
        assert_eq!(
            filled(&made, &token, 5_999),
            json!({"message": {
                "token": "t", "android": {"ttl": "5s", "priority": "HIGH"},
                "apns": {"headers": {"apns-expiration": "1700000005"}},
                "webpush": {"headers": {"TTL": "5"}, "notification": {"ttl": null}},
            }})
        );
        let none_left = filled(&made, &token, 999);
        assert_eq!(none_left["message"]["android"]["ttl"], "0s");
        assert_eq!(none_left["message"]["apns"]["headers"]["apns-expiration"], "0");
        assert_eq!(filled(&made, &token, u64::MAX)["message"]["android"]["ttl"], "2419200s");
    }

    #[test]
    fn each_kind_of_target_has_its_field() {
        let made = template(json!({"data": {}}));
        for (target, field) in [
            (Target::Token("a".into()), "token"),
            (Target::Fid("a".into()), "fid"),
            (Target::FcmTopic("a".into()), "topic"),
            (Target::FcmCondition("a".into()), "condition"),
        ] {
            assert_eq!(filled(&made, &target, 0), json!({"message": {field: "a", "data": {}}}));
        }
    }

    fn outbound(number: u8, message: &Arc<Message>) -> Outbound {
        let notification = NotificationId::from_bytes([number; 16]);
        Outbound {
            delivery: DeliveryId::derive(notification, "x"),
            notification,
            credential: Credential::new("p").unwrap(),
            platform: Platform::Android,
            target: Target::Token("t".to_owned()),
            message: Arc::clone(message),
            remaining_ms: 0,
        }
    }

    fn of_size(bytes: usize) -> Template {
        Template { pieces: Vec::new(), tail: "x".repeat(bytes) }
    }

    #[test]
    fn a_template_is_made_once_for_the_same_message() {
        let cache = TemplateCache::default();
        let message = Arc::new(Message { title: Some("a".into()), ..Message::default() });
        let first = cache.get(&outbound(1, &message), |_, _, _| of_size(1));
        let equal = Arc::new((*message).clone());
        let second = cache.get(&outbound(1, &equal), |_, _, _| panic!("made twice"));
        assert!(Arc::ptr_eq(&first, &second));
        let other = Arc::new(Message::default());
        assert_eq!(cache.get(&outbound(1, &other), |_, _, _| of_size(2)).len(), 2);
    }

    #[test]
    fn the_oldest_goes_when_the_cache_is_full() {
        let cache = TemplateCache::default();
        let message = Arc::new(Message::default());
        for number in 0..5 {
            cache.get(&outbound(number, &message), |_, _, _| of_size(CACHE_BYTES_MAX / 4));
        }
        cache.get(&outbound(4, &message), |_, _, _| panic!("the newest is there"));
        let again = cache.get(&outbound(0, &message), |_, _, _| of_size(7));
        assert_eq!(again.len(), 7);
        let cached = cache.lock();
        assert!(cached.bytes <= CACHE_BYTES_MAX);
        assert_eq!(cached.ages.len(), cached.templates.len());
    }

    proptest! {
        #[test]
        fn any_target_and_any_text_make_good_json(address in ".{1,40}", text in ".{0,40}", key in ".{0,10}", ms in any::<u64>()) {
            let made = template(json!({"data": {key.clone(): text.clone()}, "android": {"ttl": null}}));
            let body = filled(&made, &Target::Token(address.clone()), ms);
            prop_assert_eq!(&body["message"]["token"], &Value::from(address));
            prop_assert_eq!(&body["message"]["data"][&key], &Value::from(text));
        }
    }
}
