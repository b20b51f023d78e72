//! What Android's parts of a message must be: time to live, colour, lights.
//!
//! Ranges, and what is required, are from the discovery document (revision 20261023); the texts are unverified.

use super::{duration, field_name};
use crate::envelope::ApiError;
use crate::json::Json;
use crate::limits::MAX_TTL_S;

/// Where a notification for Android may stand.
const NOTIFICATIONS: [&[&str]; 2] =
    [&["android", "notification"], &["androidV2", "remoteNotification", "notification"]];

pub(super) fn check(message: &Json<'_>) -> Result<(), ApiError> {
    for platform in ["android", "androidV2"] {
        time_to_live(message, platform)?;
    }
    for path in NOTIFICATIONS {
        let Some(notification) = message.at(path) else { continue };
        color(notification, path)?;
        if let Some(lights) = notification.get("lightSettings") {
            light_settings(lights, &field(path, "lightSettings"))?;
        }
    }
    Ok(())
}

fn time_to_live(message: &Json<'_>, platform: &str) -> Result<(), ApiError> {
    let ttl = message.str_at(&[platform, "ttl"]).and_then(|ttl| duration::parse(ttl).ok());
    if ttl.is_some_and(|ttl| !(0..=duration::from_seconds(MAX_TTL_S)).contains(&ttl)) {
        let text = format!("TTL must be between 0 and {MAX_TTL_S} seconds.");
        return Err(ApiError::invalid_field(&field_name(&[platform, "ttl"]), text));
    }
    Ok(())
}

/// An empty one is none, as in protobuf.
fn color(notification: &Json<'_>, path: &[&str]) -> Result<(), ApiError> {
    let color = notification.str_at(&["color"]).filter(|color| !color.is_empty());
    if color.is_some_and(|color| !is_color(color)) {
        return Err(ApiError::invalid_field(&field(path, "color"), "Color must be in the form #RRGGBB."));
    }
    Ok(())
}

/// `#RRGGBB`.
fn is_color(color: &str) -> bool {
    color
        .strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// All three parts are required; a colour's components lie between 0 and 1.
fn light_settings(lights: &Json<'_>, place: &str) -> Result<(), ApiError> {
    for (name, proto_name) in [
        ("color", "color"),
        ("lightOnDuration", "light_on_duration"),
        ("lightOffDuration", "light_off_duration"),
    ] {
        if lights.get(name).is_none() {
            return Err(ApiError::invalid_field(&format!("{place}.{proto_name}"), "This field is required."));
        }
    }
    for component in ["red", "green", "blue", "alpha"] {
        let value = lights.at(&["color", component]).and_then(number);
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            let text = "Color components must be between 0 and 1.";
            return Err(ApiError::invalid_field(&format!("{place}.color.{component}"), text));
        }
    }
    Ok(())
}

/// A number, which may be written as a string.
fn number(value: &Json<'_>) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn field(path: &[&str], name: &str) -> String {
    let mut path = path.to_vec();
    path.push(name);
    field_name(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours() {
        assert!(is_color("#00ffAA"));
        for bad in ["", "#", "00ffAA", "#00ffA", "#00ffAAA", "#00ffAG"] {
            assert!(!is_color(bad), "{bad}");
        }
    }

    #[test]
    fn lights_need_all_their_parts() {
        let refused = |lights: &str| {
            let message = format!(r#"{{"android":{{"notification":{{"lightSettings":{lights}}}}}}}"#);
            check(&Json::parse(message.as_bytes()).unwrap()).is_err()
        };
        let lights =
            |color: &str| format!(r#"{{"color":{color},"lightOnDuration":"1s","lightOffDuration":"2s"}}"#);
        assert!(!refused(&lights(r#"{"red":1,"green":0.5,"alpha":"0"}"#)));
        assert!(refused(&lights(r#"{"red":1.1}"#)));
        for component in ["red", "green", "blue", "alpha"] {
            assert!(refused(&lights(&format!(r#"{{"{component}":"-0.1"}}"#))), "{component}");
        }
        assert!(refused(&lights("null")));
        assert!(refused(r#"{"color":{},"lightOnDuration":"1s"}"#));
        assert!(refused(r#"{"color":{},"lightOffDuration":"1s"}"#));
    }
}
