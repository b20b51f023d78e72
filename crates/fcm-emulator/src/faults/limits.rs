//! FCM's limits per device and project, each off until it is asked for: a load test wants throughput, a test of a
//! sender's manners wants these.
//!
//! In JSON either an object of them or the word `"fcm"` for FCM's own numbers.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use super::{FaultsError, within};
use crate::limits::{
    FCM_COLLAPSIBLE_BURST, FCM_COLLAPSIBLE_REFILL_S, FCM_DEVICE_PER_HOUR, FCM_DEVICE_PER_MINUTE,
    FCM_FANOUT_DEVICES_PER_S, FCM_FANOUTS, FCM_SUBSCRIPTIONS_PER_S, MAX_COLLAPSE_KEYS, MAX_FANOUTS, MAX_RATE,
};

/// Limits per device and project, none by default. What is beyond them is answered 429 RESOURCE_EXHAUSTED with
/// QUOTA_EXCEEDED and, where time helps, Retry-After. Validations and sends that fail anyway use nothing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Messages to one token or installation id per minute, all of which may come at once. FCM's own is 240.
    pub device_per_minute: Option<u32>,
    /// The same per hour. FCM's own is 5,000.
    pub device_per_hour: Option<u32>,
    /// Messages that have a collapse key or a notification, to one token or installation id.
    pub collapsible: Option<Collapsible>,
    /// Different collapse keys in use per device, each for the time to live of its last message. FCM keeps 4 and
    /// forgets the others without a word, so this is not among its limits; here a further one is answered 400, for
    /// senders who want to hear of it.
    pub collapse_keys: Option<u32>,
    /// Sends to topics and conditions under way at once in a project.
    pub fanouts: Option<Fanouts>,
    /// Registrations subscribed and unsubscribed per second in a project, all of which may come at once. FCM's own
    /// is 3,000.
    pub subscriptions_per_s: Option<u32>,
}

/// A bucket of collapsible messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Collapsible {
    /// How many may come at once. FCM's own is 20.
    pub burst: u32,
    /// Seconds until one more may come. FCM's own is 180.
    pub refill_s: u32,
}

/// How many fan-outs there may be at once, and how long they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Fanouts {
    /// How many at once. FCM's own is 1,000.
    pub concurrent: u32,
    /// Subscribed devices one fan-out reaches per second; with that many it is under way for a second. Firebase
    /// calls 10,000 not uncommon.
    pub devices_per_s: u32,
}

impl Limits {
    /// FCM's own numbers (Firebase documentation).
    pub const FCM: Limits = Limits {
        device_per_minute: Some(FCM_DEVICE_PER_MINUTE),
        device_per_hour: Some(FCM_DEVICE_PER_HOUR),
        collapsible: Some(Collapsible { burst: FCM_COLLAPSIBLE_BURST, refill_s: FCM_COLLAPSIBLE_REFILL_S }),
        collapse_keys: None,
        fanouts: Some(Fanouts { concurrent: FCM_FANOUTS, devices_per_s: FCM_FANOUT_DEVICES_PER_S }),
        subscriptions_per_s: Some(FCM_SUBSCRIPTIONS_PER_S),
    };

    /// Whether single devices must be watched.
    pub(super) fn concern_devices(&self) -> bool {
        self.device_per_minute.is_some()
            || self.device_per_hour.is_some()
            || self.collapsible.is_some()
            || self.collapse_keys.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), FaultsError> {
        let check = |key: &str, value: Option<u32>, most: u32| match value {
            Some(value) => within(&format!("limits.{key}"), value, 1, most),
            None => Ok(()),
        };
        check("device_per_minute", self.device_per_minute, MAX_RATE)?;
        check("device_per_hour", self.device_per_hour, MAX_RATE)?;
        check("collapsible.burst", self.collapsible.map(|limit| limit.burst), MAX_RATE)?;
        check("collapsible.refill_s", self.collapsible.map(|limit| limit.refill_s), MAX_RATE)?;
        check("collapse_keys", self.collapse_keys, MAX_COLLAPSE_KEYS)?;
        check("fanouts.concurrent", self.fanouts.map(|limit| limit.concurrent), MAX_FANOUTS)?;
        check("fanouts.devices_per_s", self.fanouts.map(|limit| limit.devices_per_s), MAX_RATE)?;
        check("subscriptions_per_s", self.subscriptions_per_s, MAX_RATE)
    }
}

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
        deserializer.deserialize_any(LimitsVisitor)
    }
}

struct LimitsVisitor;

impl<'de> Visitor<'de> for LimitsVisitor {
    type Value = Limits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of limits or \"fcm\"")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Limits, E> {
        match word {
            "fcm" => Ok(Limits::FCM),
            other => Err(E::unknown_variant(other, &["fcm"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limits, A::Error> {
        #[derive(DeriveDeserialize)]
        #[serde(deny_unknown_fields, remote = "Limits")]
        struct Fields {
            device_per_minute: Option<u32>,
            device_per_hour: Option<u32>,
            collapsible: Option<Collapsible>,
            collapse_keys: Option<u32>,
            fanouts: Option<Fanouts>,
            subscriptions_per_s: Option<u32>,
        }
        Fields::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    #[test]
    fn fcms_own_numbers_have_a_name() {
        let faults = Faults::from_json(br#"{"limits":"fcm"}"#).unwrap();
        assert_eq!(faults.limits, Limits::FCM);
        let written = serde_json::to_value(&faults).unwrap();
        assert_eq!(
            written["limits"],
            serde_json::json!({
                "device_per_minute": 240, "device_per_hour": 5000, "collapsible": {"burst": 20, "refill_s": 180},
                "collapse_keys": null, "fanouts": {"concurrent": 1000, "devices_per_s": 10000},
                "subscriptions_per_s": 3000
            })
        );
        let again = serde_json::to_vec(&faults).unwrap();
        assert_eq!(Faults::from_json(&again).unwrap(), faults);
        assert_eq!(Faults::from_json(b"{}").unwrap().limits, Limits::default());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        let refused = |limits: &str, expected: &str| {
            let json = format!(r#"{{"limits":{limits}}}"#);
            let error = Faults::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{limits}: {error}");
        };
        refused(r#""apns""#, "limits: unknown variant `apns`, expected `fcm`");
        refused("7", "limits: invalid type: integer `7`, expected an object of limits or \"fcm\"");
        refused(r#"{"device":1}"#, "limits.device: unknown field `device`");
        refused(r#"{"fanouts":{"concurrent":1}}"#, "limits.fanouts: missing field `devices_per_s`");
        refused(r#"{"device_per_minute":0}"#, "limits.device_per_minute: 0 is not between 1 and");
        refused(r#"{"device_per_hour":0}"#, "limits.device_per_hour: 0 is not");
        refused(r#"{"collapsible":{"burst":0,"refill_s":1}}"#, "limits.collapsible.burst: 0 is not");
        refused(r#"{"collapsible":{"burst":1,"refill_s":0}}"#, "limits.collapsible.refill_s: 0 is not");
        refused(r#"{"collapse_keys":101}"#, "limits.collapse_keys: 101 is not between 1 and 100");
        refused(
            r#"{"fanouts":{"concurrent":100001,"devices_per_s":1}}"#,
            "limits.fanouts.concurrent: 100001",
        );
        refused(r#"{"fanouts":{"concurrent":1,"devices_per_s":0}}"#, "limits.fanouts.devices_per_s: 0 is");
        refused(r#"{"subscriptions_per_s":0}"#, "limits.subscriptions_per_s: 0 is not");
    }
}
