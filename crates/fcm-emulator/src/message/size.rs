//! How big a message is for each platform that would get it.
//!
//! Documented: 4,096 bytes of keys and values. A platform's own `data` replaces the common one, its notification
//! adds to the common one, and APNs counts its whole payload (Firebase documentation).

use crate::json::Json;

/// The largest of the platforms' payloads, in bytes.
pub(crate) fn payload_bytes(message: &Json<'_>) -> usize {
    let common_data = message.get("data").map_or(0, content_bytes);
    let common_notification = message.get("notification").map_or(0, content_bytes);
    let common = common_data + common_notification;
    let own = |path: &[&str]| message.at(path).map(content_bytes);
    let own_or_common_data = |path: &[&str]| own(path).unwrap_or(common_data);

    let android = own(&["android", "notification"]).unwrap_or(0) + own_or_common_data(&["android", "data"]);
    let android_v2 = own(&["androidV2", "remoteNotification", "notification"]).unwrap_or(0)
        + own_or_common_data(&["androidV2", "data"]);
    let web = own(&["webpush", "notification"]).unwrap_or(0) + own_or_common_data(&["webpush", "data"]);
    let apns = own(&["apns", "payload"]).unwrap_or(0) + common_data;

    let of_android_family = android.max(android_v2) + common_notification;
    common.max(of_android_family).max(web + common_notification).max(apns + common_notification)
}

/// Bytes of the keys and values of a tree, without JSON's own punctuation and escapes.
fn content_bytes(value: &Json<'_>) -> usize {
    match value {
        Json::Null => 0,
        Json::Bool(true) => 4,
        Json::Bool(false) => 5,
        Json::Number(number) => number.to_string().len(),
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(content_bytes).sum(),
        Json::Object(entries) => entries.iter().map(|(key, value)| key.len() + content_bytes(value)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keys_and_values_of_the_biggest_platform() {
        let check = |message: &str, bytes: usize| {
            assert_eq!(payload_bytes(&Json::parse(message.as_bytes()).unwrap()), bytes, "{message}");
        };
        check(r#"{"token":"a"}"#, 0);
        check(r#"{"data":{"ab":"cd"}}"#, 4);
        check(r#"{"data":{"a":"é\n"}}"#, 4);
        check(r#"{"data":{"ab":"cd"},"notification":{"title":"xyz"}}"#, 4 + 8);
        check(r#"{"data":{"ab":"cd"},"android":{"data":{"a":"b"},"notification":{"tag":"t"}}}"#, 2 + 4);
        check(r#"{"apns":{"payload":{"aps":{"badge":12}}}}"#, 3 + 5 + 2);
    }
}
