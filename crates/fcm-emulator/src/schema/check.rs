//! A walk of a request along its type, with the refusals that Google's JSON front end gives.
//!
//! The texts are those of Google's API front end as seen in production: unknown names and lists where none belong
//! are "Invalid JSON payload received. …", wrong types "Invalid value at '…' (TYPE), value". Field paths are in
//! snake_case and number map entries, whatever the request wrote. It is lenient where Google is: both spellings of
//! a name, enums in any case or as numbers, numbers and booleans as strings, null as absent.

use std::borrow::Cow;
use std::fmt;

use super::{Field, Kind, MessageType, Schema, TypeId};
use crate::envelope::Violation;
use crate::json::Json;
use crate::limits::MAX_VIOLATIONS;
use crate::message::duration;

/// Checks a request and renames its fields to camelCase, so that later steps need to know one spelling.
/// No more than [`MAX_VIOLATIONS`] are reported.
pub(crate) fn check<'a>(schema: &'a Schema, request: &mut Json<'a>) -> Vec<Violation> {
    check_as(schema, schema.send_request, request)
}

/// The same of a topic subscription.
pub(crate) fn check_topic_subscription<'a>(schema: &'a Schema, request: &mut Json<'a>) -> Vec<Violation> {
    check_as(schema, schema.topic_subscription, request)
}

fn check_as<'a>(schema: &'a Schema, root: TypeId, request: &mut Json<'a>) -> Vec<Violation> {
    let mut walk = Walk { schema, violations: Vec::new() };
    match request {
        Json::Object(entries) => walk.message(schema.message(root), entries, &Path::Root),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            walk.unknown_name("", &Path::Root, "Root element must be a message.");
        }
    }
    walk.violations
}

/// Where the walk is; a list on the stack, written out only when something is refused.
enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Walk<'a> {
    schema: &'a Schema,
    violations: Vec<Violation>,
}

impl<'a> Walk<'a> {
    fn message(
        &mut self,
        message: &'a MessageType,
        entries: &mut [(Cow<'a, str>, Json<'a>)],
        path: &Path<'_>,
    ) {
        for (name, value) in entries {
            let Some(field) = message.field(name) else {
                self.unknown_name(name, path, "Cannot find field.");
                continue;
            };
            match value {
                Json::Null => {}
                Json::Array(items) if field.repeated => {
                    let list = Path::Field(path, &field.proto_name);
                    for (index, item) in items.iter_mut().enumerate() {
                        self.value(field, item, &list, &Path::Index(&list, index));
                    }
                }
                Json::Array(_) => self.list_in_single(field, name, path),
                Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
                    self.value(field, value, path, &Path::Field(path, &field.proto_name));
                }
            }
            if name.as_ref() != field.name.as_ref() {
                *name = Cow::Borrowed(&field.name);
            }
        }
    }

    fn value(&mut self, field: &'a Field, value: &mut Json<'a>, parent: &Path<'_>, path: &Path<'_>) {
        match (&field.kind, value) {
            (Kind::Message(id), Json::Object(entries)) => {
                self.message(self.schema.message(*id), entries, path)
            }
            (Kind::Message(id), other) => self.wrong_value(&self.schema.message(*id).type_url, other, path),
            (Kind::StringMap { .. }, Json::Object(entries)) => self.string_map(entries, path),
            (Kind::StringMap { entry_type_url }, other) => self.wrong_value(entry_type_url, other, path),
            (Kind::Struct, Json::Object(_)) => {}
            (Kind::Struct, other) => {
                self.wrong_value("type.googleapis.com/google.protobuf.Struct", other, path);
            }
            (
                Kind::String
                | Kind::Bool
                | Kind::Int32
                | Kind::Float
                | Kind::Duration
                | Kind::Timestamp
                | Kind::Enum { .. },
                Json::Object(_),
            ) => self.object_in_scalar(&field.proto_name, parent),
            (kind, scalar) => {
                if let Err((type_name, shown)) = scalar_fits(kind, scalar, &field.proto_name) {
                    self.wrong_value(type_name, shown, path);
                }
            }
        }
    }

    fn string_map(&mut self, entries: &[(Cow<'a, str>, Json<'a>)], path: &Path<'_>) {
        for (index, (_, value)) in entries.iter().enumerate() {
            let entry = Path::Index(path, index);
            match value {
                Json::String(_) | Json::Null => {}
                Json::Object(_) => self.object_in_scalar("value", &entry),
                Json::Array(_) => {
                    self.unknown_name("value", &entry, "Proto field is not repeating, cannot start list.");
                }
                Json::Bool(_) | Json::Number(_) => {
                    self.wrong_value("TYPE_STRING", value, &Path::Field(&entry, "value"));
                }
            }
        }
    }

    fn list_in_single(&mut self, field: &Field, name: &str, path: &Path<'_>) {
        if let Kind::StringMap { .. } = field.kind {
            let shown = format!("Cannot bind a list to map for field '{}'.", field.proto_name);
            self.wrong_value("Map", shown, &Path::Field(path, &field.proto_name));
        } else {
            self.unknown_name(name, path, "Proto field is not repeating, cannot start list.");
        }
    }

    fn unknown_name(&mut self, name: &str, path: &Path<'_>, why: &str) {
        let (field, place) = match path {
            Path::Root => (None, String::new()),
            Path::Field(..) | Path::Index(..) => (Some(path.to_string()), format!(" at '{path}'")),
        };
        let description = format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: {why}");
        self.report(Violation { field, description });
    }

    /// Google names the field in the type's place here, and its parent as the place.
    fn object_in_scalar(&mut self, proto_name: &str, parent: &Path<'_>) {
        self.wrong_value(proto_name, "Starting an object on a scalar field", parent);
    }

    fn wrong_value(&mut self, type_name: &str, shown: impl fmt::Display, path: &Path<'_>) {
        let (field, place) = match path {
            Path::Root => (None, String::new()),
            Path::Field(..) | Path::Index(..) => (Some(path.to_string()), format!(" at '{path}'")),
        };
        self.report(Violation { field, description: format!("Invalid value{place} ({type_name}), {shown}") });
    }

    fn report(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

/// Whether a scalar fits; if not, the type and the value as Google shows them.
fn scalar_fits<'k>(kind: &'k Kind, value: &Json<'_>, proto_name: &str) -> Result<(), (&'k str, String)> {
    let refuse = |type_name: &'k str| Err((type_name, value.to_string()));
    match (kind, value) {
        (Kind::String, Json::String(_)) | (Kind::Bool, Json::Bool(_)) | (Kind::Float, Json::Number(_)) => {
            Ok(())
        }
        (Kind::String, _) => refuse("TYPE_STRING"),
        (Kind::Bool, Json::String(text)) if matches!(text.as_ref(), "true" | "false") => Ok(()),
        (Kind::Bool, _) => refuse("TYPE_BOOL"),
        (Kind::Int32, Json::Number(number)) if number.as_f64().is_some_and(is_int32) => Ok(()),
        (Kind::Int32, Json::String(text)) if text.parse::<i32>().is_ok() => Ok(()),
        (Kind::Int32, _) => refuse("TYPE_INT32"),
        (Kind::Float, Json::String(text)) if text.parse::<f32>().is_ok() => Ok(()),
        (Kind::Float, _) => refuse("TYPE_FLOAT"),
        (Kind::Duration, Json::String(text)) => duration::parse(text).map(drop).map_err(|error| {
            ("type.googleapis.com/google.protobuf.Duration", format!("Field '{proto_name}', {error}"))
        }),
        (Kind::Duration, _) => refuse("type.googleapis.com/google.protobuf.Duration"),
        (Kind::Timestamp, Json::String(text)) if is_rfc3339(text) => Ok(()),
        (Kind::Timestamp, _) => Err((
            "type.googleapis.com/google.protobuf.Timestamp",
            format!("Field '{proto_name}', Invalid time format: {}", value.as_str().unwrap_or_default()),
        )),
        (Kind::Enum { values, .. }, Json::String(text))
            if values.iter().any(|known| known.eq_ignore_ascii_case(text)) =>
        {
            Ok(())
        }
        // Enums are open in proto3: any number fits.
        (Kind::Enum { .. }, Json::Number(number)) if number.as_f64().is_some_and(is_int32) => Ok(()),
        (Kind::Enum { type_url, .. }, _) => refuse(type_url),
        (Kind::StringMap { .. } | Kind::Struct | Kind::Message(_), _) => Ok(()), // not scalars; see Walk::value
    }
}

fn is_int32(number: f64) -> bool {
    number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
}

/// `2026-07-01T12:00:00[.fraction](Z|±hh:mm)`, by shape.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                _ => byte == expected,
            })
    };
    let Some((start, rest)) = text.split_at_checked(19) else { return false };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|char: char| char.is_ascii_digit()),
        None => rest,
    };
    shape(start, "0000-00-00T00:00:00")
        && !rest.starts_with(".Z")
        && (zone == "Z" || shape(zone, "+00:00") || shape(zone, "-00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(body: &str) -> Vec<String> {
        let schema = Schema::load().unwrap();
        let mut request = Json::parse(body.as_bytes()).unwrap();
        check(&schema, &mut request).into_iter().map(|violation| violation.description).collect()
    }

    fn refused(message: &str, expected: &str) {
        assert_eq!(violations(&format!(r#"{{"message":{message}}}"#)), [expected], "{message}");
    }

    fn accepted(message: &str) {
        assert_eq!(violations(&format!(r#"{{"message":{message}}}"#)), [""; 0], "{message}");
    }

    #[test]
    fn unknown_names_are_refused_where_they_stand() {
        refused(
            r#"{"x":1}"#,
            "Invalid JSON payload received. Unknown name \"x\" at 'message': Cannot find field.",
        );
        assert_eq!(
            violations(r#"{"x":1}"#),
            ["Invalid JSON payload received. Unknown name \"x\": Cannot find field."]
        );
        refused(
            r#"{"android":{"notification":{"x":1}}}"#,
            "Invalid JSON payload received. Unknown name \"x\" at 'message.android.notification': Cannot find field.",
        );
        assert_eq!(
            violations("[]"),
            ["Invalid JSON payload received. Unknown name \"\": Root element must be a message."]
        );
    }

    #[test]
    fn wrong_types_name_the_type_and_the_value() {
        refused(r#"{"data":{"a":12}}"#, "Invalid value at 'message.data[0].value' (TYPE_STRING), 12");
        refused(
            r#"{"data":{"a":"x","b":true}}"#,
            "Invalid value at 'message.data[1].value' (TYPE_STRING), true",
        );
        refused(
            r#"{"data":{"a":{}}}"#,
            "Invalid value at 'message.data[0]' (value), Starting an object on a scalar field",
        );
        refused(
            r#"{"data":[]}"#,
            "Invalid value at 'message.data' (Map), Cannot bind a list to map for field 'data'.",
        );
        refused(
            r#"{"token":{}}"#,
            "Invalid value at 'message' (token), Starting an object on a scalar field",
        );
        refused(
            r#"{"notification":{"title":["a"]}}"#,
            "Invalid JSON payload received. Unknown name \"title\" at 'message.notification': Proto field is not repeating, cannot start list.",
        );
        refused(
            r#"{"notification":"hi"}"#,
            "Invalid value at 'message.notification' (type.googleapis.com/google.firebase.fcm.v1.Notification), \"hi\"",
        );
        refused(
            r#"{"android":{"notification":{"bodyLocArgs":["a",1]}}}"#,
            "Invalid value at 'message.android.notification.body_loc_args[1]' (TYPE_STRING), 1",
        );
        refused(
            r#"{"android":{"notification":{"notificationCount":1.5}}}"#,
            "Invalid value at 'message.android.notification.notification_count' (TYPE_INT32), 1.5",
        );
        refused(
            r#"{"android":{"priority":"urgent"}}"#,
            "Invalid value at 'message.android.priority' (type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), \"urgent\"",
        );
        refused(
            r#"{"android":{"ttl":"60"}}"#,
            "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), Field 'ttl', Illegal duration format; duration must end with 's'",
        );
        refused(
            r#"{"android":{"notification":{"eventTime":"noon"}}}"#,
            "Invalid value at 'message.android.notification.event_time' (type.googleapis.com/google.protobuf.Timestamp), Field 'event_time', Invalid time format: noon",
        );
    }

    #[test]
    fn lenient_where_google_is() {
        accepted(r#"{"android":{"collapse_key":"a","collapseKey":"b","priority":"high","ttl":"3.5s"}}"#);
        accepted(r#"{"android":{"priority":1,"direct_boot_ok":"true"},"data":null,"topic":null}"#);
        accepted(
            r#"{"android":{"notification":{"notification_count":"3","eventTime":"2026-07-01T12:00:00.5Z"}}}"#,
        );
        accepted(r#"{"apns":{"payload":{"aps":{"badge":1}}},"webpush":{"notification":{"actions":[{}]}}}"#);
        accepted(
            r#"{"android":{"notification":{"lightSettings":{"color":{"red":1,"green":0.5},"lightOnDuration":"1s"}}}}"#,
        );
    }

    #[test]
    fn violations_are_bounded() {
        let names: Vec<String> = (0..MAX_VIOLATIONS * 2).map(|n| format!(r#""x{n}":1"#)).collect();
        assert_eq!(violations(&format!("{{{}}}", names.join(","))).len(), MAX_VIOLATIONS);
    }
}
