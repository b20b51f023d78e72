//! A JSON tree that keeps the order of keys and borrows its strings from the request.
//!
//! Google numbers map entries in the order they were sent (`message.data[0].value`), which `serde_json::Value`
//! forgets; and a send should not cost an allocation per string.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// One JSON value, borrowing from the text it was parsed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The value of a key; the last one where it is repeated (discovery document: "the last occurrence takes
    /// precedence"), and none where it is null.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let (_, value) = self.entries().iter().rev().find(|(key, _)| key == name)?;
        (*value != Json::Null).then_some(value)
    }

    /// [`Json::get`] along a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Json<'a>> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    pub(crate) fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// The entries of an object; none of anything else.
    pub(crate) fn entries(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        match self {
            Json::Object(entries) => entries,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => &[],
        }
    }
}

/// As Google quotes a refused value: strings in JSON quotes, the rest as written.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(value) => write!(f, "{value}"),
            Json::String(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
            Json::Array(_) => f.write_str("[]"),
            Json::Object(_) => f.write_str("{}"),
        }
    }
}

/// What Google's JSON front end says of a text that is no JSON: the reason, the text around the place, and a caret
/// under it. It has more reasons than these two; serde_json doesn't tell them apart.
pub(crate) fn syntax_complaint(text: &[u8], error: &serde_json::Error) -> String {
    const CONTEXT_BYTES: usize = 20;
    let line_start = text
        .split(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(|line| line.len() + 1)
        .sum::<usize>();
    let at = (line_start + error.column().saturating_sub(1)).min(text.len());
    let start = at.saturating_sub(CONTEXT_BYTES);
    let end = (at + CONTEXT_BYTES).min(text.len());
    let reason =
        if error.is_eof() { "Unexpected end of string. Expected a value." } else { "Unexpected token." };
    let around = String::from_utf8_lossy(&text[start..end]);
    format!(
        "Invalid JSON payload received. {reason}\n{around}\n{caret:>width$}",
        caret = '^',
        width = at - start + 1
    )
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

/// A key, borrowed wherever it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_shown_in_its_place() {
        let complain = |text: &str| {
            let error = Json::parse(text.as_bytes()).unwrap_err();
            syntax_complaint(text.as_bytes(), &error)
        };
        assert_eq!(
            complain(r#"{"a": nope}"#),
            "Invalid JSON payload received. Unexpected token.\n{\"a\": nope}\n       ^"
        );
        assert_eq!(
            complain("{\"a\":1,\n\"b\""),
            "Invalid JSON payload received. Unexpected end of string. Expected a value.\n{\"a\":1,\n\"b\"\n          ^"
        );
    }

    #[test]
    fn keeps_order_borrows_and_lets_the_last_duplicate_win() {
        let tree = Json::parse(br#"{"z":1,"a":"x","a":"y\n","n":null,"l":[true,1.5]}"#).unwrap();
        let keys: Vec<&str> = tree.entries().iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["z", "a", "a", "n", "l"]);
        assert_eq!(tree.str_at(&["a"]), Some("y\n"));
        assert_eq!(tree.get("n"), None);
        assert!(matches!(&tree.entries()[1].1, Json::String(Cow::Borrowed("x"))));
        assert_eq!(tree.get("z").unwrap().to_string(), "1");
        assert_eq!(tree.get("a").unwrap().to_string(), r#""y\n""#);
    }
}
