//! Composing the body of `messages:send`. Pure: message + notification id + platform → [`Template`].
//!
//! Sources: the discovery document (revision 20261023) for every field; Apple's "Sending notification requests to
//! APNs" for `apns-*` headers; RFC 8030 for web push's `TTL` and `Topic`.
//!
//! What is made, unless the caller's own fields say otherwise:
//!
//! - A second copy replaces the first on the screen: Android `tag`, `apns-collapse-id`, web push `Topic` and `tag`
//!   come from the notification's id. `data.pabal_id` lets an app tell a copy itself.
//! - A message without a text stays a data message: nothing is added that would make it a visible one. On iOS it
//!   becomes a background update with priority 5, the only one that APNs takes for these.
//! - `link` goes where it works by itself (`webpush.fcmOptions.link`, https only, as FCM demands) and into `data`
//!   for the apps. FCM's `click_action` names an Android intent, not a URL.
//!
//! Only the part of the device's platform is made, all three where the platform is not known. What the caller
//! gives is always sent whole.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pabal_core::ids::NotificationId;
use pabal_core::message::{Message, PABAL_ID_KEY};
use pabal_core::route::Platform;
use serde_json::{Map, Value, json};

use crate::merge::{merge, spelled};
use crate::template::Template;

/// The key in `data` under which `link` is sent.
const LINK_KEY: &str = "link";
/// Characters of the longest web push topic. Source: RFC 8030, section 5.4.
const TOPIC_CHARS_MAX: usize = 32;
/// Bytes of the longest `apns-collapse-id`. Source: Apple, as above.
const COLLAPSE_ID_BYTES_MAX: usize = 64;

/// The body for every delivery of a notification to a platform, with slots for what differs.
pub(crate) fn compose(message: &Message, notification: NotificationId, platform: Platform) -> Template {
    let theirs = spelled(&message.fcm);
    let draft = Draft { message, id: notification.to_string(), theirs: &theirs };
    let mut made = draft.make(platform);
    merge(&mut made, &theirs);
    carry_id(&mut made, &draft.id);
    Template::new(&made, message.validate_only)
}

/// A map of data in a platform's part replaces the message's own there, and with it the id, which it then gets too.
fn carry_id(made: &mut Map<String, Value>, id: &str) {
    for part in ["android", "androidV2", "webpush"] {
        let data = made.get_mut(part).and_then(|part| part.get_mut("data"));
        if let Some(Value::Object(data)) = data {
            data.entry(PABAL_ID_KEY).or_insert_with(|| id.into());
        }
    }
}

struct Draft<'a> {
    message: &'a Message,
    id: String,
    /// The caller's own fields, in the spelling of the discovery document.
    theirs: &'a Map<String, Value>,
}

impl Draft<'_> {
    fn make(&self, platform: Platform) -> Map<String, Value> {
        let mut made = Map::new();
        made.insert("data".to_owned(), self.data());
        let notification = self.notification();
        if !notification.is_empty() {
            made.insert("notification".to_owned(), notification.into());
        }
        let all = platform == Platform::Other;
        if all || platform == Platform::Android {
            let part = if self.theirs.contains_key("androidV2") { "androidV2" } else { "android" };
            made.insert(part.to_owned(), self.android(part));
        }
        if all || platform == Platform::Ios {
            made.insert("apns".to_owned(), self.apns());
        }
        if all || platform == Platform::Web {
            made.insert("webpush".to_owned(), self.webpush());
        }
        made
    }

    fn data(&self) -> Value {
        let mut data: Map<String, Value> =
            self.message.data.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        if let Some(link) = &self.message.link {
            data.entry(LINK_KEY).or_insert_with(|| link.as_str().into());
        }
        data.insert(PABAL_ID_KEY.to_owned(), self.id.as_str().into());
        data.into()
    }

    fn notification(&self) -> Map<String, Value> {
        let Message { title, body, image, .. } = self.message;
        [("title", title), ("body", body), ("image", image)]
            .into_iter()
            .filter_map(|(key, text)| text.as_deref().map(|text| (key.to_owned(), text.into())))
            .collect()
    }

    /// Whether a message is shown by itself: what Pabal or the caller puts into the common `notification`, or what
    /// the caller puts at `pointer`.
    fn shows(&self, pointer: &[&str]) -> bool {
        let mut at = self.theirs.get(pointer[0]);
        for key in &pointer[1..] {
            at = at.and_then(|value| value.get(key));
        }
        at.is_some_and(Value::is_object)
            || self.theirs.contains_key("notification")
            || !self.notification().is_empty()
    }

    fn android(&self, part: &str) -> Value {
        let mut android = json!({ "ttl": null });
        if let Some(key) = &self.message.collapse_key {
            android["collapseKey"] = key.as_str().into();
        }
        if part == "android" {
            if self.shows(&["android", "notification"]) {
                android["notification"] = json!({ "tag": self.id });
            }
        } else if self.shows(&["androidV2", "remoteNotification", "notification"])
            && !self.is_background_sync()
        {
            android["remoteNotification"] = json!({ "notification": { "tag": self.id } });
        }
        android
    }

    fn is_background_sync(&self) -> bool {
        self.theirs.get("androidV2").is_some_and(|v2| v2.get("backgroundSync").is_some())
    }

    fn apns(&self) -> Value {
        let collapse_id = match &self.message.collapse_key {
            Some(key) => header_safe(key, COLLAPSE_ID_BYTES_MAX, |c| c.is_ascii_graphic()),
            None => self.id.clone(),
        };
        let mut apns = json!({ "headers": { "apns-collapse-id": collapse_id, "apns-expiration": null } });
        if let Some(image) = &self.message.image {
            apns["fcmOptions"] = json!({ "image": image });
            // Lets the app's service extension fetch the picture.
            apns["payload"] = json!({ "aps": { "mutable-content": 1 } });
        }
        if !self.shows(&["apns", "payload"]) {
            apns["headers"]["apns-priority"] = "5".into();
            apns["headers"]["apns-push-type"] = "background".into();
            apns["payload"] = json!({ "aps": { "content-available": 1 } });
        }
        apns
    }

    fn webpush(&self) -> Value {
        let topic = match &self.message.collapse_key {
            Some(key) => {
                header_safe(key, TOPIC_CHARS_MAX, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            }
            None => self.id.replace('-', ""),
        };
        let mut webpush = json!({ "headers": { "TTL": null, "Topic": topic } });
        if self.shows(&["webpush", "notification"]) {
            webpush["notification"] = json!({ "tag": self.id });
        }
        if let Some(link) = self.message.link.as_ref().filter(|link| link.starts_with("https://")) {
            webpush["fcmOptions"] = json!({ "link": link });
        }
        webpush
    }
}

/// `key` where a header may hold it as it is, else a name made from it that it may hold: 24 bytes of its hash as 32
/// characters.
fn header_safe(key: &str, chars_max: usize, fits: impl Fn(char) -> bool) -> String {
    if key.len() <= chars_max && key.chars().all(fits) {
        return key.to_owned();
    }
    URL_SAFE_NO_PAD.encode(&blake3::hash(key.as_bytes()).as_bytes()[..24])
}

#[cfg(test)]
mod tests;
