//! From the discovery document's JSON Schema to [`Schema`], once at start.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{Field, Kind, MessageType, Schema, TypeId};

/// The embedded discovery document can't be understood: a defect of this crate, found by its tests.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The document isn't the JSON it should be.
    #[error("the discovery document is not valid JSON")]
    Json(#[from] serde_json::Error),
    /// A field refers to a schema that isn't there.
    #[error("the discovery document has no schema `{0}`")]
    NoSchema(String),
    /// A field has a type that the emulator can't check yet.
    #[error("the discovery document's `{schema}.{field}` has an unknown type")]
    UnknownType {
        /// Name of the schema.
        schema: String,
        /// Name of the field.
        field: String,
    },
}

#[derive(Deserialize)]
struct Document {
    schemas: BTreeMap<String, SchemaEntry>,
}

#[derive(Deserialize)]
struct SchemaEntry {
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    r#type: Option<String>,
    format: Option<String>,
    #[serde(rename = "$ref")]
    reference: Option<String>,
    r#enum: Option<Vec<Box<str>>>,
    items: Option<Box<Property>>,
    additional_properties: Option<Box<Property>>,
}

pub(super) fn compile(document: &str) -> Result<Schema, SchemaError> {
    let document: Document = serde_json::from_str(document)?;
    let ids: HashMap<&str, TypeId> =
        document.schemas.keys().enumerate().map(|(id, name)| (name.as_str(), id)).collect();
    let types = document
        .schemas
        .iter()
        .map(|(name, entry)| compile_message(name, entry, &ids))
        .collect::<Result<Vec<_>, _>>()?;
    let send_request = find(&ids, "SendMessageRequest")?;
    let topic_subscription = find(&ids, "TopicSubscription")?;
    Ok(Schema { types, send_request, topic_subscription })
}

fn find(ids: &HashMap<&str, TypeId>, name: &str) -> Result<TypeId, SchemaError> {
    ids.get(name).copied().ok_or_else(|| SchemaError::NoSchema(name.to_owned()))
}

fn compile_message(
    schema: &str,
    entry: &SchemaEntry,
    ids: &HashMap<&str, TypeId>,
) -> Result<MessageType, SchemaError> {
    let mut fields = Vec::with_capacity(entry.properties.len());
    for (name, property) in &entry.properties {
        let element = property.items.as_deref().unwrap_or(property);
        let kind = compile_kind(schema, name, element, ids)?
            .ok_or_else(|| SchemaError::UnknownType { schema: schema.to_owned(), field: name.clone() })?;
        let proto_name = snake_case(name).into();
        fields.push(Field {
            name: name.as_str().into(),
            proto_name,
            kind,
            repeated: property.items.is_some(),
        });
    }
    let mut names: Vec<(Box<str>, usize)> = Vec::with_capacity(fields.len() * 2);
    for (at, field) in fields.iter().enumerate() {
        names.push((field.name.clone(), at));
        if field.proto_name != field.name {
            names.push((field.proto_name.clone(), at));
        }
    }
    names.sort();
    Ok(MessageType { type_url: type_url(schema).into(), fields, names })
}

fn compile_kind(
    schema: &str,
    field: &str,
    property: &Property,
    ids: &HashMap<&str, TypeId>,
) -> Result<Option<Kind>, SchemaError> {
    if let Some(reference) = &property.reference {
        return Ok(Some(Kind::Message(find(ids, reference)?)));
    }
    if let Some(values) = &property.r#enum {
        return Ok(Some(Kind::Enum {
            type_url: enum_type_url(schema, field).into(),
            values: values.clone(),
        }));
    }
    let map_value = property.additional_properties.as_deref().and_then(|value| value.r#type.as_deref());
    Ok(match (property.r#type.as_deref(), property.format.as_deref(), map_value) {
        (Some("object"), _, Some("string")) => Some(Kind::StringMap {
            entry_type_url: format!("{}.{}Entry", type_url(schema), pascal_case(field)).into(),
        }),
        (Some("object"), _, Some("any")) => Some(Kind::Struct),
        (Some("string"), Some("google-duration"), _) => Some(Kind::Duration),
        (Some("string"), Some("google-datetime"), _) => Some(Kind::Timestamp),
        (Some("string"), None, _) => Some(Kind::String),
        (Some("boolean"), _, _) => Some(Kind::Bool),
        (Some("integer"), Some("int32"), _) => Some(Kind::Int32),
        (Some("number"), _, _) => Some(Kind::Float),
        _ => None,
    })
}

/// Discovery documents flatten nested and foreign types into one name; errors have the real one.
fn type_url(schema: &str) -> String {
    let name = match schema {
        "Color" => "google.type.Color".to_owned(),
        "GoogleFirebaseFcmV1AndroidNotificationV2LightSettings" => {
            "google.firebase.fcm.v1.AndroidNotificationV2.LightSettings".to_owned()
        }
        "LightSettings" => "google.firebase.fcm.v1.AndroidNotification.LightSettings".to_owned(),
        own => format!("google.firebase.fcm.v1.{own}"),
    };
    format!("type.googleapis.com/{name}")
}

/// The document doesn't name enums. FCM's reference calls a message's priority `AndroidMessagePriority`; the others
/// are nested in their message.
fn enum_type_url(schema: &str, field: &str) -> String {
    match (schema, field) {
        ("AndroidConfig", "priority") => {
            "type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority".to_owned()
        }
        _ => format!("{}.{}", type_url(schema), pascal_case(field)),
    }
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for char in camel.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

fn pascal_case(camel: &str) -> String {
    let mut chars = camel.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_document_compiles_and_knows_both_spellings() {
        let schema = Schema::load().unwrap();
        let request = schema.message(schema.send_request);
        assert!(request.field("validateOnly").is_some());
        assert!(request.field("validate_only").is_some());
        assert!(request.field("validate-only").is_none());
        let android_v2 =
            schema.types.iter().find(|message| message.field("backgroundSync").is_some()).unwrap();
        assert_eq!(android_v2.field("background_sync").unwrap().proto_name.as_ref(), "background_sync");
    }

    #[test]
    fn names_change_case() {
        assert_eq!(snake_case("useAsV1DataMessage"), "use_as_v1_data_message");
        assert_eq!(snake_case("androidV2"), "android_v2");
        assert_eq!(pascal_case("notificationPriority"), "NotificationPriority");
    }
}
