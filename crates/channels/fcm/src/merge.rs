//! Merging a caller's own FCM fields over the ones that Pabal makes. Pure.
//!
//! FCM reads every field of its schema in lowerCamelCase and in snake_case (the JSON mapping of protocol buffers).
//! A merge that took these for two fields would send both, and FCM would refuse the message or pick one. So fields
//! of the schema are brought into lowerCamelCase, the discovery document's spelling, before they are compared.
//! What the schema calls a map or a struct (`data`, `headers`, `payload`, `webpush.notification`) holds the
//! caller's own keys, which stay as they are; names of headers are compared without regard to case.
//!
//! `null` takes away what Pabal makes.

use serde_json::{Map, Value};

/// What the keys of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Fields of FCM's schema.
    Fields,
    /// Names of HTTP headers.
    Headers,
    /// The caller's own.
    Free,
}

/// What the keys of the object at `path` within `Message` are.
fn keys_at(path: &[String]) -> Keys {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [_, "headers"] => Keys::Headers,
        ["webpush", "notification", ..] | [_, "data" | "payload", ..] => Keys::Free,
        _ => Keys::Fields,
    }
}

/// The caller's fields with those of FCM's schema in the discovery document's spelling.
pub(crate) fn spelled(fields: &Map<String, Value>) -> Map<String, Value> {
    spelled_at(fields, &mut Vec::new())
}

fn spelled_at(fields: &Map<String, Value>, path: &mut Vec<String>) -> Map<String, Value> {
    let keys = keys_at(path);
    let spell = |(key, value): (&String, &Value)| {
        let key = if keys == Keys::Fields { lower_camel(key) } else { key.clone() };
        path.push(key.clone());
        let value = match value {
            Value::Object(fields) => spelled_at(fields, path).into(),
            value => value.clone(),
        };
        path.pop();
        (key, value)
    };
    fields.iter().map(spell).collect()
}

/// Merges `over`, as [`spelled`], into `base`: objects deeply, everything else by replacing.
pub(crate) fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    merge_at(base, over, &mut Vec::new());
}

fn merge_at(base: &mut Map<String, Value>, over: &Map<String, Value>, path: &mut Vec<String>) {
    let keys = keys_at(path);
    for (key, value) in over {
        let ours = take(base, key, keys);
        path.push(key.clone());
        let merged = merge_value(ours, value, keys, path);
        if let (Some(key), Some(value)) = (path.pop(), merged) {
            base.insert(key, value);
        }
    }
}

fn merge_value(ours: Option<Value>, theirs: &Value, keys: Keys, path: &mut Vec<String>) -> Option<Value> {
    match (ours, theirs) {
        (Some(Value::Object(mut base)), Value::Object(over)) => {
            merge_at(&mut base, over, path);
            Some(Value::Object(base))
        }
        (_, Value::Object(over)) => {
            let mut base = Map::new();
            merge_at(&mut base, over, path);
            Some(Value::Object(base))
        }
        // In an object of the caller's own a null is a value like any other, unless it meets one of ours.
        (None, Value::Null) if keys == Keys::Free => Some(Value::Null),
        (_, Value::Null) => None,
        (_, value) => Some(value.clone()),
    }
}

/// Takes out what `key` names, however it is spelled.
fn take(base: &mut Map<String, Value>, key: &str, keys: Keys) -> Option<Value> {
    if keys == Keys::Headers {
        let spelled = base.keys().find(|ours| ours.eq_ignore_ascii_case(key)).cloned();
        return spelled.and_then(|spelled| base.remove(&spelled));
    }
    base.remove(key)
}

/// `collapse_key` as `collapseKey`, which itself stays as it is.
fn lower_camel(key: &str) -> String {
    let mut camel = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        if c == '_' && !camel.is_empty() {
            upper = true;
        } else if upper {
            camel.push(c.to_ascii_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    fn check(base: Value, over: Value, expect: Value) {
        let mut base = object(base);
        merge(&mut base, &spelled(&object(over)));
        assert_eq!(Value::Object(base), expect);
    }

    #[test]
    fn objects_merge_deeply_and_the_caller_wins() {
        check(
            json!({"android": {"ttl": "5s", "notification": {"tag": "a"}}}),
            json!({"android": {"notification": {"tag": "b", "sound": "x"}}, "apns": {"payload": {"aps": {}}}}),
            json!({"android": {"ttl": "5s", "notification": {"tag": "b", "sound": "x"}}, "apns": {"payload": {"aps": {}}}}),
        );
    }

    #[test]
    fn both_spellings_are_one_field() {
        check(
            json!({"android": {"collapseKey": "ours", "notification": {"tag": "t"}}}),
            json!({"android": {"collapse_key": "theirs", "notification": {"body_loc_args": ["a_b"]}}}),
            json!({"android": {"collapseKey": "theirs", "notification": {"tag": "t", "bodyLocArgs": ["a_b"]}}}),
        );
        check(
            json!({}),
            json!({"fcm_options": {"analytics_label": "l"}}),
            json!({"fcmOptions": {"analyticsLabel": "l"}}),
        );
    }

    #[test]
    fn keys_of_the_callers_own_stay_as_they_are() {
        let theirs = json!({
            "android": {"data": {"snake_key": "v"}},
            "apns": {"payload": {"aps": {"thread_id": 1}, "my_key": {"a_b": null}}},
            "webpush": {"notification": {"data_x": {"y_z": 1}}, "data": {"d_e": "f"}},
        });
        check(json!({}), theirs.clone(), theirs);
    }

    #[test]
    fn headers_are_compared_without_case() {
        check(
            json!({"webpush": {"headers": {"TTL": "5", "Topic": "a"}}}),
            json!({"webpush": {"headers": {"ttl": "9"}}}),
            json!({"webpush": {"headers": {"ttl": "9", "Topic": "a"}}}),
        );
    }

    #[test]
    fn null_takes_away_what_we_make() {
        check(
            json!({"android": {"ttl": "5s", "notification": {"tag": "t"}}, "webpush": {"headers": {"Topic": "x"}}}),
            json!({"android": {"ttl": null, "notification": null, "priority": null}, "webpush": {"headers": {"topic": null}}}),
            json!({"android": {}, "webpush": {"headers": {}}}),
        );
        check(
            json!({"webpush": {"notification": {"tag": "t"}}}),
            json!({"webpush": {"notification": {"tag": null, "icon": null}}}),
            json!({"webpush": {"notification": {"icon": null}}}),
        );
    }

    fn any_object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "[a-z]{0,4}".prop_map(Value::from)];
        let key = prop_oneof![
            Just("android"),
            Just("webpush"),
            Just("headers"),
            Just("data"),
            Just("notification"),
            Just("a")
        ];
        let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        tree.prop_map(|value| if value.is_object() { value } else { json!({ "a": value }) })
    }

    proptest! {
        #[test]
        fn merging_twice_changes_nothing_more(base in any_object(), over in any_object()) {
            let (mut once, over) = (object(base), object(over));
            merge(&mut once, &over);
            let mut twice = once.clone();
            merge(&mut twice, &over);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn everything_of_the_callers_arrives(base in any_object(), over in any_object()) {
            let mut merged = object(base);
            merge(&mut merged, &object(over.clone()));
            prop_assert!(holds(&Value::Object(merged), &over));
        }

        #[test]
        fn over_nothing_stands_the_callers_alone(over in any_object()) {
            let mut merged = Map::new();
            merge(&mut merged, &object(over.clone()));
            prop_assert_eq!(Value::Object(merged), over);
        }
    }

    fn holds(whole: &Value, part: &Value) -> bool {
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => {
                part.iter().all(|(key, value)| whole.get(key).is_some_and(|held| holds(held, value)))
            }
            (whole, part) => whole == part,
        }
    }
}
