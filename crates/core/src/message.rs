//! What a notification says. Stored once per notification, encoded once, and passed around as an `Arc`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::Invalid;
use crate::limits;

/// The content of a notification, checked. Absent texts make a data-only message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Shown in bold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Shown below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What a tap opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// For the app, not for the eye.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Messages with the same key replace each other while the device is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collapse_key: Option<String>,
    /// Fields of FCM's own `Message`, merged over what Pabal makes: `android`, `androidV2`, `apns`, `webpush`,
    /// `fcm_options`, `notification`. The target and `data` are not among them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fcm: Map<String, Value>,
    /// Ask the provider to check the message and not to deliver it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate_only: bool,
}

/// Keys of `data` that FCM reserves. Source: discovery document, `Message.data`.
const RESERVED_KEYS: [&str; 2] = ["from", "message_type"];
/// Prefixes of keys of `data` that FCM reserves. Source: as above.
const RESERVED_PREFIXES: [&str; 2] = ["google.", "gcm.notification."];
/// The key under which each delivery carries its notification's id, so that apps can tell a repeated one.
pub const PABAL_ID_KEY: &str = "pabal_id";
/// The fields of FCM's `Message` that a native override may name.
pub const FCM_OVERRIDES: [&str; 6] =
    ["android", "androidV2", "apns", "webpush", "fcm_options", "notification"];

impl Message {
    /// Checks every field against its named limit.
    ///
    /// # Errors
    /// The first field that is refused, by its name in the API, and why.
    pub fn check(&self) -> Result<(), Invalid> {
        check_text("title", self.title.as_deref(), limits::TITLE_BYTES_MAX)?;
        check_text("body", self.body.as_deref(), limits::BODY_BYTES_MAX)?;
        check_text("image", self.image.as_deref(), limits::URL_BYTES_MAX)?;
        check_text("link", self.link.as_deref(), limits::URL_BYTES_MAX)?;
        check_text("collapse_key", self.collapse_key.as_deref(), limits::COLLAPSE_KEY_BYTES_MAX)?;
        check_data(&self.data)?;
        check_overrides(&self.fcm)?;
        let says_something =
            self.title.is_some() || self.body.is_some() || !self.data.is_empty() || !self.fcm.is_empty();
        if says_something {
            Ok(())
        } else {
            Err(Invalid::new("title", "is missing: a message needs a title, a body, data or fcm"))
        }
    }
}

fn check_text(what: &'static str, text: Option<&str>, bytes_max: usize) -> Result<(), Invalid> {
    match text {
        Some("") => Err(Invalid::new(what, "is empty; leave it out instead")),
        Some(text) if text.len() > bytes_max => {
            Err(Invalid::new(what, format!("is longer than {bytes_max} bytes")))
        }
        _ => Ok(()),
    }
}

fn check_data(data: &BTreeMap<String, String>) -> Result<(), Invalid> {
    if data.len() > limits::DATA_ENTRIES_MAX {
        return Err(Invalid::new("data", format!("has more than {} entries", limits::DATA_ENTRIES_MAX)));
    }
    let bytes: usize = data.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > limits::DATA_BYTES_MAX {
        return Err(Invalid::new("data", format!("is longer than {} bytes", limits::DATA_BYTES_MAX)));
    }
    for key in data.keys() {
        let reserved = RESERVED_KEYS.contains(&key.as_str())
            || RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        if reserved {
            return Err(Invalid::new("data", format!("has the key '{key}', which FCM reserves")));
        }
        if key == PABAL_ID_KEY {
            return Err(Invalid::new("data", format!("has the key '{key}', which Pabal sets")));
        }
        if key.is_empty() {
            return Err(Invalid::new("data", "has an empty key"));
        }
    }
    Ok(())
}

fn check_overrides(fcm: &Map<String, Value>) -> Result<(), Invalid> {
    for (key, value) in fcm {
        if !FCM_OVERRIDES.contains(&key.as_str()) {
            let known = FCM_OVERRIDES.join(", ");
            return Err(Invalid::new("fcm", format!("has the field '{key}', which is none of {known}")));
        }
        if !value.is_object() {
            return Err(Invalid::new("fcm", format!("has '{key}' as something else than an object")));
        }
    }
    if fcm.contains_key("android") && fcm.contains_key("androidV2") {
        return Err(Invalid::new("fcm", "has both 'android' and 'androidV2', which exclude each other"));
    }
    let bytes = serde_json::to_vec(fcm).map_or(usize::MAX, |json| json.len());
    if bytes > limits::OVERRIDE_BYTES_MAX {
        return Err(Invalid::new(
            "fcm",
            format!("is longer than {} bytes of JSON", limits::OVERRIDE_BYTES_MAX),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled() -> Message {
        Message { title: Some("Prove your day".into()), ..Message::default() }
    }

    fn refusal(change: impl FnOnce(&mut Message)) -> String {
        let mut message = titled();
        change(&mut message);
        message.check().unwrap_err().to_string()
    }

    #[test]
    fn a_plain_message_passes() {
        assert_eq!(titled().check(), Ok(()));
    }

    #[test]
    fn an_empty_message_is_refused() {
        assert!(Message::default().check().unwrap_err().to_string().starts_with("title is missing"));
    }

    #[test]
    fn each_limit_is_named() {
        assert_eq!(refusal(|m| m.title = Some("x".repeat(1025))), "title is longer than 1024 bytes");
        assert_eq!(refusal(|m| m.body = Some("x".repeat(4097))), "body is longer than 4096 bytes");
        assert_eq!(refusal(|m| m.body = Some(String::new())), "body is empty; leave it out instead");
        assert_eq!(refusal(|m| m.image = Some("x".repeat(2049))), "image is longer than 2048 bytes");
        assert_eq!(refusal(|m| m.link = Some("x".repeat(2049))), "link is longer than 2048 bytes");
        assert_eq!(
            refusal(|m| m.collapse_key = Some("x".repeat(65))),
            "collapse_key is longer than 64 bytes"
        );
        assert_eq!(
            refusal(|m| m.data = (0..101).map(|n| (n.to_string(), String::new())).collect()),
            "data has more than 100 entries"
        );
        assert_eq!(
            refusal(|m| m.data = [("k".to_owned(), "x".repeat(4096))].into()),
            "data is longer than 4096 bytes"
        );
        assert_eq!(
            refusal(|m| m.fcm = [("apns".to_owned(), serde_json::json!({ "x": "y".repeat(16 * 1024) }))]
                .into_iter()
                .collect()),
            "fcm is longer than 16384 bytes of JSON"
        );
    }

    #[test]
    fn reserved_data_keys_are_refused() {
        for key in ["from", "message_type", "google.x", "gcm.notification.title", "pabal_id"] {
            let message = refusal(|m| m.data = [(key.to_owned(), "1".to_owned())].into());
            assert!(message.contains(key), "{message}");
        }
    }

    #[test]
    fn overrides_name_known_objects_only() {
        let with =
            |key: &str, value: Value| refusal(|m| m.fcm = [(key.to_owned(), value)].into_iter().collect());
        assert!(with("token", serde_json::json!({})).contains("'token'"));
        assert!(with("apns", serde_json::json!(1)).contains("something else than an object"));
    }
}
