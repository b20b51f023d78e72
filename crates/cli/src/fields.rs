//! Fields of the API's answers as people read them.

use indicatif::HumanCount;
use pabal_core::ids::NotificationId;
use serde_json::Value;

use crate::output::plain;

/// Characters of a token, FID, topic or condition that are shown.
const ADDRESS_CHARS_SHOWN: usize = 40;

/// What an id looks like.
const EXAMPLE_ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

/// A field's text; nothing where it has none.
pub(crate) fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}

/// A field's number; zero where it has none.
pub(crate) fn number(body: &Value, key: &str) -> u64 {
    body[key].as_u64().unwrap_or_default()
}

/// A field's number as people read it.
pub(crate) fn count(body: &Value, key: &str) -> String {
    HumanCount(number(body, key)).to_string()
}

/// How many of something, as `1 device` and `2 devices`.
pub(crate) fn how_many(count: u64, one: &str) -> String {
    let plural = match (count, one.strip_suffix('y')) {
        (1, _) => one.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{one}s"),
    };
    format!("{} {plural}", HumanCount(count))
}

/// The items of a field.
pub(crate) fn items<'a>(body: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    body[key].as_array().into_iter().flatten()
}

/// For whom, in a few words. A token is an address of a person: its beginning is enough to know it again.
pub(crate) fn recipients(to: &Value) -> String {
    if let Some(users) = to["users"].as_array() {
        return how_many(users.len() as u64, "user");
    }
    let device = to.get("device").filter(|device| device.is_object()).unwrap_or(to);
    match (device["user"].as_str(), device["device"].as_str()) {
        (Some(user), Some(device)) => return plain(&format!("user {user}, device {device}")),
        (Some(user), None) => return plain(&format!("user {user}")),
        _ => {}
    }
    let Some((kind, address)) = to.as_object().and_then(|fields| fields.iter().next()) else {
        return "(erased)".to_owned();
    };
    plain(&format!("{kind} {}", shortened(address.as_str().unwrap_or_default())))
}

/// The beginning of an address.
pub(crate) fn shortened(address: &str) -> String {
    let begin: String = address.chars().take(ADDRESS_CHARS_SHOWN).collect();
    let rest = if begin.len() < address.len() { "…" } else { "" };
    format!("{begin}{rest}")
}

/// Reads an id on the command line.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_plain && text.parse::<NotificationId>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(format!("that is no id: one reads like {EXAMPLE_ID}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn recipients_are_shown_in_a_few_words() {
        for (to, shown) in [
            (json!({ "user": "ann" }), "user ann"),
            (json!({ "user": "ann", "device": "phone" }), "user ann, device phone"),
            (json!({ "device": { "user": "ann", "device": "phone" } }), "user ann, device phone"),
            (json!({ "users": ["a", "b"] }), "2 users"),
            (json!({ "token": "t\u{7}" }), "token t\\u{7}"),
            (Value::Null, "(erased)"),
        ] {
            assert_eq!(recipients(&to), shown);
        }
        let long = json!({ "fcm_topic": "유".repeat(41) });
        assert_eq!(recipients(&long), format!("fcm_topic {}…", "유".repeat(40)));
    }

    #[test]
    fn ids_are_told_from_other_words() {
        assert!(id(EXAMPLE_ID).is_ok());
        for wrong in ["", "x", "../../etc", "0192f0c1", "0192f0c1-2345-7abc-8def-0123456789ag"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_are_words() {
        assert_eq!([1, 2000].map(|count| how_many(count, "delivery")), ["1 delivery", "2,000 deliveries"]);
        assert_eq!([0, 1].map(|count| how_many(count, "device")), ["0 devices", "1 device"]);
    }
}
