//! Whether a message may replace an earlier one that waits for the same device, and under which key.
//!
//! Firebase documents: a message with a collapse key is collapsible, and one with a notification always is. A key is
//! in use for as long as its message may wait, its time to live.

use std::time::Duration;

use super::duration;
use crate::json::Json;
use crate::limits::MAX_TTL_S;

/// How a message collapses on Android.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Collapsing<'m> {
    pub(crate) is_collapsible: bool,
    pub(crate) key: Option<&'m str>,
    /// How long the key is in use; zero without a key.
    pub(crate) key_in_use: Duration,
}

impl<'m> Collapsing<'m> {
    pub(super) fn of(message: &'m Json<'_>) -> Collapsing<'m> {
        let android = message.get("android").or_else(|| message.get("androidV2"));
        let key = android.and_then(|android| android.str_at(&["collapseKey"])).filter(|key| !key.is_empty());
        let ttl = android
            .and_then(|android| android.str_at(&["ttl"]))
            .and_then(|ttl| duration::parse(ttl).ok())
            .map_or(MAX_TTL_S, duration::whole_seconds);
        let has_notification = message.get("notification").is_some()
            || message.at(&["android", "notification"]).is_some()
            || message.at(&["androidV2", "remoteNotification", "notification"]).is_some();
        Collapsing {
            is_collapsible: key.is_some() || has_notification,
            key,
            key_in_use: Duration::from_secs(if key.is_some() { ttl } else { 0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_and_keys_collapse() {
        let check = |message: &str, is_collapsible: bool, key: Option<&str>, key_in_use_s: u64| {
            let json = Json::parse(message.as_bytes()).unwrap();
            let key_in_use = Duration::from_secs(key_in_use_s);
            assert_eq!(Collapsing::of(&json), Collapsing { is_collapsible, key, key_in_use }, "{message}");
        };
        check(r#"{"data":{"a":"b"},"android":{"ttl":"5s"}}"#, false, None, 0);
        check(r#"{"notification":{"title":"a"}}"#, true, None, 0);
        check(r#"{"androidV2":{"remoteNotification":{"notification":{}}}}"#, true, None, 0);
        check(r#"{"android":{"collapseKey":"k"}}"#, true, Some("k"), MAX_TTL_S);
        check(r#"{"androidV2":{"collapseKey":"k","ttl":"3.9s"}}"#, true, Some("k"), 3);
        check(r#"{"android":{"collapseKey":""}}"#, false, None, 0);
    }
}
