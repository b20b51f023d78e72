//! FCM's own description of a request, and the check of a body against it.
//!
//! The discovery document is compiled once at start into arrays that a send can be walked along without allocating.
//! What the document doesn't say (ranges, patterns, the size) is in [`crate::message`].

mod check;
mod compile;

pub(crate) use check::{check, check_topic_subscription};
pub use compile::SchemaError;

/// The discovery document this crate is built with, revision 20261023.
pub const DISCOVERY_DOCUMENT: &str = include_str!("../../schema/fcm.v1.json");

/// All message types of the document.
#[derive(Debug)]
pub(crate) struct Schema {
    types: Vec<MessageType>,
    /// `SendMessageRequest`.
    send_request: TypeId,
    /// `TopicSubscription`.
    topic_subscription: TypeId,
}

/// An index into [`Schema::types`].
type TypeId = usize;

#[derive(Debug)]
struct MessageType {
    /// As errors name it: `type.googleapis.com/google.firebase.fcm.v1.Message`.
    type_url: Box<str>,
    fields: Vec<Field>,
    /// camelCase and snake_case names, sorted, each with its field.
    names: Vec<(Box<str>, usize)>,
}

#[derive(Debug)]
struct Field {
    /// camelCase, the name this crate uses after the check.
    name: Box<str>,
    /// snake_case, the name Google uses in error paths.
    proto_name: Box<str>,
    kind: Kind,
    repeated: bool,
}

#[derive(Debug)]
enum Kind {
    String,
    Bool,
    Int32,
    Float,
    /// `"3.5s"`.
    Duration,
    /// RFC 3339.
    Timestamp,
    Enum {
        type_url: Box<str>,
        values: Vec<Box<str>>,
    },
    /// map<string, string>.
    StringMap {
        entry_type_url: Box<str>,
    },
    /// Any JSON object.
    Struct,
    Message(TypeId),
}

impl Schema {
    pub(crate) fn load() -> Result<Schema, SchemaError> {
        compile::compile(DISCOVERY_DOCUMENT)
    }

    fn message(&self, id: TypeId) -> &MessageType {
        &self.types[id]
    }
}

impl MessageType {
    fn field(&self, name: &str) -> Option<&Field> {
        let at = self.names.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.fields.get(self.names[at].1)
    }
}
