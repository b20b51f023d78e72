//! What FCM demands of a message beyond its schema: recipient, reserved keys, ranges, patterns, size.
//!
//! The order of the checks is the emulator's own (production's isn't known where several apply); the texts are those
//! observed in production (July 2026) unless a function says otherwise.

mod android;
mod collapse;
mod condition;
pub(crate) mod duration;
mod size;
mod target;

pub(crate) use collapse::Collapsing;
pub(crate) use condition::{Condition, Membership};
pub use target::TargetKind;
pub(crate) use target::{Target, is_token, is_topic_name, second_target};

use crate::envelope::{ApiError, Violation};
use crate::json::Json;
use crate::limits::{MAX_ANALYTICS_LABEL_CHARS, MAX_PAYLOAD_BYTES};
use crate::schema::{Schema, check};

/// A valid request, as far as the emulator needs to know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'m> {
    pub(crate) target: Target<'m>,
    /// `message.data.pabal_id`, empty if absent: what a sender deduplicates by.
    pub(crate) pabal_id: &'m str,
    pub(crate) collapsing: Collapsing<'m>,
    pub(crate) validate_only: bool,
}

/// Validates a request; its fields are in camelCase afterwards.
pub(crate) fn validate<'a, 'm>(
    schema: &'a Schema,
    request: &'m mut Json<'a>,
) -> Result<Outgoing<'m>, ApiError> {
    let mut violations = check(schema, request);
    let request: &'m Json<'a> = request;
    let message = request.get("message");
    if let Some(second) = message.and_then(second_target) {
        violations.push(Violation::of(
            "message",
            format!("Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{second}'"),
        ));
    }
    if !violations.is_empty() {
        return Err(ApiError::bad_json(violations));
    }
    let target = Target::of(message)?;
    if let Some(message) = message {
        platforms_agree(message)?;
        data_keys(message)?;
        android::check(message)?;
        analytics_labels(message)?;
        web_push_ttl(message)?;
        web_push_link(message)?;
        if size::payload_bytes(message) > MAX_PAYLOAD_BYTES {
            return Err(ApiError::too_large());
        }
    }
    let validate_only = matches!(request.get("validateOnly"), Some(Json::Bool(true)))
        || request.str_at(&["validateOnly"]) == Some("true");
    let pabal_id = message.and_then(|message| message.str_at(&["data", "pabal_id"])).unwrap_or_default();
    let collapsing = message.map(Collapsing::of).unwrap_or_default();
    Ok(Outgoing { target, pabal_id, collapsing, validate_only })
}

/// `android` and `androidV2` exclude each other (discovery document, revision 20261023; the text is unverified).
fn platforms_agree(message: &Json<'_>) -> Result<(), ApiError> {
    if message.get("android").is_some() && message.get("androidV2").is_some() {
        return Err(ApiError::invalid_field(
            "message",
            "Only one of AndroidConfig and AndroidConfigV2 can be set.",
        ));
    }
    Ok(())
}

/// Reserved words (discovery document, revision 20261023); the text is one that users of the API reported.
fn data_keys(message: &Json<'_>) -> Result<(), ApiError> {
    for path in [&["data"][..], &["android", "data"], &["androidV2", "data"], &["webpush", "data"]] {
        let Some(data) = message.at(path) else { continue };
        for (key, _) in data.entries() {
            let reserved = matches!(key.as_ref(), "from" | "message_type")
                || key.starts_with("google.")
                || key.starts_with("gcm.notification.");
            if reserved {
                let text = format!("Invalid data payload key: {key}");
                return Err(ApiError::invalid(field_name(path), text));
            }
        }
    }
    Ok(())
}

/// `^[a-zA-Z0-9-_.~%]{1,50}$` (Firebase documentation; the text is unverified). An empty one is none, as in protobuf.
fn analytics_labels(message: &Json<'_>) -> Result<(), ApiError> {
    for options in [
        &["fcmOptions"][..],
        &["android", "fcmOptions"],
        &["androidV2", "fcmOptions"],
        &["apns", "fcmOptions"],
        &["webpush", "fcmOptions"],
    ] {
        let label = message.at(options).and_then(|options| options.str_at(&["analyticsLabel"]));
        if label.is_some_and(|label| !label.is_empty() && !is_analytics_label(label)) {
            let field = format!("{}.analytics_label", field_name(options));
            return Err(ApiError::invalid_field(
                &field,
                "Analytics label must match ^[a-zA-Z0-9-_.~%]{1,50}$.",
            ));
        }
    }
    Ok(())
}

fn is_analytics_label(label: &str) -> bool {
    (1..=MAX_ANALYTICS_LABEL_CHARS).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
}

/// The `TTL` header of web push, whose name is case-insensitive like any header's.
fn web_push_ttl(message: &Json<'_>) -> Result<(), ApiError> {
    let Some(headers) = message.at(&["webpush", "headers"]) else { return Ok(()) };
    for (name, value) in headers.entries() {
        let text = value.as_str().unwrap_or_default();
        let is_seconds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if name.eq_ignore_ascii_case("TTL") && !is_seconds {
            return Err(ApiError::invalid(
                "message.webpush.headers.TTL",
                "TTL must be a non-negative integer.",
            ));
        }
    }
    Ok(())
}

/// HTTPS is required (discovery document, revision 20261023; the text is unverified). An empty one is none.
fn web_push_link(message: &Json<'_>) -> Result<(), ApiError> {
    let path = ["webpush", "fcmOptions", "link"];
    let link = message.str_at(&path).filter(|link| !link.is_empty());
    let is_https = |link: &str| {
        link.split_at_checked("https://".len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case("https://") && !rest.is_empty() && !rest.starts_with('/')
        })
    };
    if link.is_some_and(|link| !is_https(link)) {
        return Err(ApiError::invalid_field(
            &field_name(&path),
            "Link must be a URL that starts with https://.",
        ));
    }
    Ok(())
}

/// A path of camelCase names as Google writes it in `fieldViolations`.
fn field_name(path: &[&str]) -> String {
    let mut name = String::from("message");
    for part in path {
        name.push('.');
        for char in part.chars() {
            if char.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(char.to_ascii_lowercase());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> Option<String> {
        let schema = Schema::load().unwrap();
        let mut request = Json::parse(body.as_bytes()).unwrap();
        validate(&schema, &mut request).err().map(|error| error.message().to_owned())
    }

    #[test]
    fn what_matters_of_a_valid_request_is_found() {
        let schema = Schema::load().unwrap();
        let body = r#"{"validate_only":true,"message":{"topic":"t","data":{"pabal_id":"7"}}}"#;
        let mut request = Json::parse(body.as_bytes()).unwrap();
        let outgoing = validate(&schema, &mut request).unwrap();
        assert_eq!(outgoing.target, Target { kind: TargetKind::Topic, value: "t" });
        assert_eq!(outgoing.pabal_id, "7");
        assert!(outgoing.validate_only);
    }

    #[test]
    fn the_size_limit_is_the_documented_one() {
        let body =
            |bytes: usize| format!(r#"{{"message":{{"token":"t","data":{{"k":"{}"}}}}}}"#, "x".repeat(bytes));
        assert_eq!(refusal(&body(MAX_PAYLOAD_BYTES - 1)), None);
        assert!(refusal(&body(MAX_PAYLOAD_BYTES)).unwrap().starts_with("Message is too large."));
    }

    #[test]
    fn ranges_hold_at_their_ends() {
        let ttl = |ttl: &str| format!(r#"{{"message":{{"token":"t","android":{{"ttl":"{ttl}"}}}}}}"#);
        assert_eq!(refusal(&ttl("0s")), None);
        assert_eq!(refusal(&ttl("2419200s")), None);
        assert!(refusal(&ttl("2419200.1s")).is_some());
        assert!(refusal(&ttl("-1s")).is_some());
        let label = |label: &str| {
            format!(r#"{{"message":{{"token":"t","fcm_options":{{"analytics_label":"{label}"}}}}}}"#)
        };
        assert_eq!(refusal(&label(&"a".repeat(MAX_ANALYTICS_LABEL_CHARS))), None);
        assert!(refusal(&label(&"a".repeat(MAX_ANALYTICS_LABEL_CHARS + 1))).is_some());
        assert!(refusal(&label("a b")).is_some());
    }

    #[test]
    fn links_are_https() {
        let link = |link: &str| {
            format!(r#"{{"message":{{"token":"t","webpush":{{"fcm_options":{{"link":"{link}"}}}}}}}}"#)
        };
        for good in ["", "https://example.com", "HTTPS://example.com/a?b"] {
            assert_eq!(refusal(&link(good)), None, "{good}");
        }
        for bad in ["http://example.com", "example.com", "https://", "https:///a", "javascript:alert(1)"] {
            assert!(refusal(&link(bad)).is_some(), "{bad}");
        }
    }

    #[test]
    fn paths_are_snake_case() {
        assert_eq!(field_name(&["androidV2", "fcmOptions"]), "message.android_v2.fcm_options");
    }
}
