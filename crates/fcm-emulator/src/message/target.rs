//! Whom a message is for: exactly one of a registration token, an installation id, a topic or a condition.

use serde::Serialize;

use super::condition::Condition;
use crate::envelope::ApiError;
use crate::json::Json;
use crate::limits::{MAX_TOKEN_CHARS, MAX_TOPIC_CHARS};

/// Which of the four fields named the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// `message.token`, a registration token.
    Token,
    /// `message.fid`, a Firebase Installation ID.
    Fid,
    /// `message.topic`.
    Topic,
    /// `message.condition`.
    Condition,
}

impl TargetKind {
    pub(crate) const ALL: [TargetKind; 4] =
        [TargetKind::Token, TargetKind::Fid, TargetKind::Topic, TargetKind::Condition];

    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetKind::Token => "token",
            TargetKind::Fid => "fid",
            TargetKind::Topic => "topic",
            TargetKind::Condition => "condition",
        }
    }

    /// Whether it is one device, which can be unregistered.
    pub(crate) fn is_device(self) -> bool {
        matches!(self, TargetKind::Token | TargetKind::Fid)
    }
}

/// A recipient, borrowed from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'m> {
    pub(crate) kind: TargetKind,
    pub(crate) value: &'m str,
}

impl<'m> Target<'m> {
    /// The recipient of a message, well-formed. An empty one counts as not set, as it does in protobuf.
    pub(crate) fn of(message: Option<&'m Json<'_>>) -> Result<Target<'m>, ApiError> {
        let target = message.and_then(Target::find).ok_or_else(ApiError::no_recipient)?;
        match target.kind {
            TargetKind::Token | TargetKind::Fid if !is_token(target.value) => {
                Err(ApiError::malformed_token(target.kind))
            }
            TargetKind::Topic if !is_topic_name(target.value) => Err(ApiError::topic_characters()),
            TargetKind::Condition if Condition::parse(target.value).is_none() => {
                Err(ApiError::bare_invalid_argument())
            }
            TargetKind::Token | TargetKind::Fid | TargetKind::Topic | TargetKind::Condition => Ok(target),
        }
    }

    fn find(message: &'m Json<'_>) -> Option<Target<'m>> {
        TargetKind::ALL.into_iter().find_map(|kind| {
            let value = message.str_at(&[kind.as_str()]).filter(|value| !value.is_empty())?;
            Some(Target { kind, value })
        })
    }
}

/// The field that breaks the `target` oneof: the second one of the message, in the order it was written.
pub(crate) fn second_target<'m>(message: &'m Json<'_>) -> Option<&'m str> {
    let mut first = None;
    for (name, value) in message.entries() {
        let is_target = TargetKind::ALL.iter().any(|kind| kind.as_str() == name);
        if !is_target || *value == Json::Null {
            continue;
        }
        if *first.get_or_insert(name) != name {
            return Some(name);
        }
    }
    None
}

/// `[a-zA-Z0-9-_.~%]{1,900}` (discovery document, revision 20261023). The prefix `/topics/` is for SDKs to strip.
pub(crate) fn is_topic_name(name: &str) -> bool {
    (1..=MAX_TOPIC_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
}

/// URL-safe characters and colons. Real tokens have more shape (142 characters, one colon, observed July 2026), but
/// an emulator that refused `demo-token-1` would be of little use.
pub(crate) fn is_token(token: &str) -> bool {
    (1..=MAX_TOKEN_CHARS).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(message: &str) -> Json<'_> {
        Json::parse(message.as_bytes()).unwrap()
    }

    #[test]
    fn finds_the_one_recipient() {
        let check = |message: &str, kind: TargetKind, value: &str| {
            assert_eq!(Target::of(Some(&parse(message))).unwrap(), Target { kind, value });
        };
        check(r#"{"token":"a:b-c_d"}"#, TargetKind::Token, "a:b-c_d");
        check(r#"{"token":null,"fid":"f"}"#, TargetKind::Fid, "f");
        check(r#"{"topic":"news~%"}"#, TargetKind::Topic, "news~%");
        check(r#"{"condition":"'a' in topics"}"#, TargetKind::Condition, "'a' in topics");
        check(r#"{"token":"a","token":"b"}"#, TargetKind::Token, "b");
        assert!(Target::of(None).is_err());
        assert!(Target::of(Some(&parse(r#"{"token":""}"#))).is_err());
    }

    #[test]
    fn a_second_recipient_is_seen() {
        assert_eq!(second_target(&parse(r#"{"token":"a","data":{},"topic":"b"}"#)), Some("topic"));
        assert_eq!(second_target(&parse(r#"{"token":"a","token":"b","topic":null}"#)), None);
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(is_topic_name(&"a".repeat(MAX_TOPIC_CHARS)));
        assert!(!is_topic_name(&"a".repeat(MAX_TOPIC_CHARS + 1)));
        assert!(is_token(&"a".repeat(MAX_TOKEN_CHARS)));
        assert!(!is_token(&"a".repeat(MAX_TOKEN_CHARS + 1)));
    }
}
