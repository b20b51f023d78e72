//! The items of a batch: how a body is cut into them, and how one is read. A body is cut first and read later, so that
//! what is wrong with one item is that item's matter alone.

use std::fmt;
use std::marker::PhantomData;

use http::HeaderMap;
use pabal_core::ids::IdempotencyKey;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::remembered;
use super::request::NotificationRequest;
use crate::api::body::{self, Unread};
use crate::api::problem::{Problem, ProblemKind};
use crate::limits;
use crate::shape::{Fault, Misfit};

/// The field that an item has beside those of a notification.
pub(super) const KEY_FIELD: &str = "idempotency_key";

/// How the items stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A JSON array.
    Array,
    /// One to a line; blank lines are nothing.
    Lines,
}

impl Form {
    /// As the request's content type says.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        if body::is_of_type(headers, "application/json") {
            return Ok(Form::Array);
        }
        if body::is_of_type(headers, "application/x-ndjson") {
            return Ok(Form::Lines);
        }
        let detail = "send a JSON array with 'Content-Type: application/json', or one notification a line with \
                      application/x-ndjson";
        Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
    }

    /// The items of a body, not read yet.
    ///
    /// # Errors
    /// If there are too many, or the body as a whole is no array.
    pub(super) fn items(self, body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
        match self {
            Form::Array => elements(body),
            Form::Lines => lines(body),
        }
    }
}

fn lines(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let lines: Vec<&[u8]> = lines.take(limits::BATCH_LINES_MAX + 1).collect();
    if lines.len() > limits::BATCH_LINES_MAX {
        let detail = format!("the batch has more than {} lines; send several", limits::BATCH_LINES_MAX);
        return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
    }
    Ok(lines)
}

fn elements(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let elements: Elements<'_> = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => {
            Problem::new(ProblemKind::InvalidRequest, "the body must be a JSON array of notifications")
        }
        Category::Io | Category::Syntax | Category::Eof => body::malformed(&error),
    })?;
    if elements.0.len() > limits::BATCH_ITEMS_MAX {
        let (items, lines) = (limits::BATCH_ITEMS_MAX, limits::BATCH_LINES_MAX);
        let detail = format!(
            "the batch has more than {items} items; send several, or up to {lines} lines as application/x-ndjson"
        );
        return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
    }
    Ok(elements.0.into_iter().map(|element| element.get().as_bytes()).collect())
}

/// The elements of an array, one more than there may be at most; those behind are looked at and not kept.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor(PhantomData))
    }
}

struct ElementsVisitor<'a>(PhantomData<&'a ()>);

impl<'de> Visitor<'de> for ElementsVisitor<'de> {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Elements<'de>, A::Error> {
        let mut elements = Vec::new();
        while elements.len() <= limits::BATCH_ITEMS_MAX {
            match items.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(Elements(elements)),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Elements(elements))
    }
}

/// A notification of a batch: the same as a single one, and its key.
#[derive(Debug)]
pub(super) struct ItemRequest {
    idempotency_key: Option<String>,
    pub(super) notification: NotificationRequest,
}

impl ItemRequest {
    /// Reads an item.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > limits::NOTIFICATION_BODY_BYTES_MAX {
            let detail = format!("the item is larger than {} bytes", limits::NOTIFICATION_BODY_BYTES_MAX);
            return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
        }
        body::parse(bytes, "item").map_err(|unread| match unread {
            // A notification does not know of the field beside it.
            Unread::Misfit(Misfit { path, fault: fault @ Fault::Unknown(_) })
                if !path.contains(['.', '[']) =>
            {
                let misfit = Misfit { path: path.clone(), fault };
                Problem::new(ProblemKind::InvalidRequest, format!("{misfit}, {KEY_FIELD}")).at(path)
            }
            other => other.into(),
        })
    }

    /// Its key, as it is remembered.
    pub(super) fn key(&self) -> Result<Option<IdempotencyKey>, Problem> {
        self.idempotency_key.as_deref().map(|text| remembered(KEY_FIELD, text)).transpose()
    }
}

impl<'de> Deserialize<'de> for ItemRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = ItemRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<ItemRequest, A::Error> {
        let mut key = None;
        let others = WithoutKey { fields, key: &mut key };
        let notification = NotificationRequest::deserialize(MapAccessDeserializer::new(others))?;
        Ok(ItemRequest { idempotency_key: key.flatten(), notification })
    }
}

/// An item's fields without its key, which is put aside on the way. (Serde's own way to flatten a struct would let
/// unknown fields through.)
struct WithoutKey<'k, A> {
    fields: A,
    key: &'k mut Option<Option<String>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutKey<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        while let Some(name) = self.fields.next_key::<String>()? {
            if name != KEY_FIELD {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            if self.key.replace(self.fields.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(KEY_FIELD));
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(item: &str) -> Problem {
        ItemRequest::parse(item.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_item_is_a_notification_with_a_key() {
        let with_key = r#"{"idempotency_key":"k","to":{"user":"a"},"title":"t"}"#;
        let item = ItemRequest::parse(with_key.as_bytes()).unwrap();
        assert!(item.key().unwrap().is_some());
        let null = r#"{"to":{"user":"a"},"title":"t","idempotency_key":null}"#;
        assert_eq!(ItemRequest::parse(null.as_bytes()).unwrap().key(), Ok(None));
        let empty = r#"{"to":{"user":"a"},"idempotency_key":""}"#;
        let empty = ItemRequest::parse(empty.as_bytes()).unwrap().key();
        assert_eq!(empty, Err(Problem::value(KEY_FIELD, "is empty")));
    }

    #[test]
    fn what_is_wrong_with_an_item_is_named_within_it() {
        let shape = |detail: &str, field: &str| {
            let problem = Problem::new(ProblemKind::InvalidRequest, detail);
            if field.is_empty() { problem } else { problem.at(field) }
        };
        assert_eq!(
            refused(r#"{"to":{"users":["a",5]}}"#),
            shape("to.users[1] must be a string, not a number", "to.users[1]")
        );
        assert_eq!(
            refused(r#"{"idempotency_key":5}"#),
            shape("idempotency_key must be a string, not a number", KEY_FIELD)
        );
        let known = "to, title, body, data, image, link, channels, lane, ttl, send_at, collapse_key, fcm, \
                     validate_only, project, idempotency_key";
        assert_eq!(
            refused(r#"{"titel":"t"}"#),
            shape(&format!("titel is not known; known here: {known}"), "titel")
        );
        assert_eq!(refused("5"), shape("the item must be a JSON object, not a number", ""));
        let twice = r#"{"to":{"user":"a"},"idempotency_key":"k","idempotency_key":"k"}"#;
        assert!(format!("{:?}", refused(twice)).contains("a field is there twice"));
    }

    #[test]
    fn bodies_are_cut_without_looking_into_their_items() {
        let cut = |form: Form, body: &[u8]| {
            let items = form.items(body).unwrap();
            items.into_iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cut(Form::Array, b" [ {\"a\": [1, 2]} ,5]"), ["{\"a\": [1, 2]}", "5"]);
        assert_eq!(cut(Form::Array, b"[]"), [""; 0]);
        assert_eq!(cut(Form::Lines, b"\n {\"a\":1} \r\n\nnonsense\n"), ["{\"a\":1}", "nonsense"]);
        let deep = format!("[{}]", "[".repeat(100_000) + &"]".repeat(100_000));
        assert_eq!(Form::Array.items(deep.as_bytes()).unwrap().len(), 1, "depth is the item's own matter");
    }

    #[test]
    fn items_are_counted_before_any_is_read() {
        let array = |items: usize| format!("[{}]", vec!["0"; items].join(","));
        assert_eq!(Form::Array.items(array(limits::BATCH_ITEMS_MAX).as_bytes()).unwrap().len(), 1000);
        assert!(Form::Array.items(array(limits::BATCH_ITEMS_MAX + 1).as_bytes()).is_err());
        let lines = |lines: usize| "0\n\n".repeat(lines);
        assert_eq!(Form::Lines.items(lines(limits::BATCH_LINES_MAX).as_bytes()).unwrap().len(), 10_000);
        assert!(Form::Lines.items(lines(limits::BATCH_LINES_MAX + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), array: bool) {
            let form = if array { Form::Array } else { Form::Lines };
            for item in form.items(&body).unwrap_or_default() {
                // Whether it can be read is another matter.
                let _read = ItemRequest::parse(item);
            }
        }
    }
}
