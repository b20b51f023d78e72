//! The people of the demo: users of a challenge app, in Korean and in English, with Android, iOS and web devices.
//!
//! Everything follows from a person's number, so that a second start means the same people.

use serde_json::{Value, json};

/// How many people there are.
pub(super) const PEOPLE: usize = 2000;

/// One person.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person(pub(super) usize);

impl Person {
    /// The user's name in the app.
    pub(super) fn user(self) -> String {
        format!("runner-{:04}", self.0)
    }

    /// How the person is called in texts.
    pub(super) fn name(self) -> &'static str {
        const KOREAN: [&str; 6] = ["민준", "서연", "지우", "하은", "도윤", "유진"];
        const ENGLISH: [&str; 6] = ["Alex", "Maya", "Noah", "Ines", "Sam", "Ravi"];
        let names = if self.is_korean() { KOREAN } else { ENGLISH };
        names[self.0 / 2 % names.len()]
    }

    pub(super) fn is_korean(self) -> bool {
        !self.0.is_multiple_of(3)
    }

    /// The devices: one in a hundred people has none, every third has a browser beside the phone.
    pub(super) fn devices(self) -> Vec<(&'static str, Value)> {
        if self.0 % 100 == 99 {
            return Vec::new();
        }
        let phone = if self.0.is_multiple_of(5) { ("iphone", "ios") } else { ("phone", "android") };
        let mut devices = vec![(phone.0, self.registration(phone.1))];
        if self.0.is_multiple_of(3) {
            devices.push(("browser", self.registration("web")));
        }
        devices
    }

    fn registration(self, platform: &str) -> Value {
        let (locale, time_zone) =
            if self.is_korean() { ("ko-KR", "Asia/Seoul") } else { ("en-US", "America/New_York") };
        json!({
            "channel": "fcm",
            "platform": platform,
            "token": self.token(platform),
            "locale": locale,
            "time_zone": time_zone,
        })
    }

    /// A token of about the length of a real one. How it begins decides how the emulator treats it.
    fn token(self, platform: &str) -> String {
        let fate = match self.0 % 200 {
            17 | 117 => Fate::Gone,
            42 => Fate::Malformed,
            71 => Fate::Broken,
            23 | 123 => Fate::Flaky,
            _ => Fate::Good,
        };
        format!("{}{platform}-{:04}:APA91b{}", fate.prefix(), self.0, "x".repeat(100))
    }
}

/// What sends to a token come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They arrive.
    Good,
    /// The app was uninstalled.
    Gone,
    /// It never was a token.
    Malformed,
    /// Whatever is sent fails at the provider.
    Broken,
    /// The first two sends fail.
    Flaky,
}

impl Fate {
    /// How tokens of this fate begin.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Fate::Good => "demo-",
            Fate::Gone => "gone-",
            Fate::Malformed => "malformed-",
            Fate::Broken => "broken-",
            Fate::Flaky => "flaky-",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_people_of_every_kind() {
        let people: Vec<Person> = (0..PEOPLE).map(Person).collect();
        let platforms: Vec<String> = people
            .iter()
            .flat_map(|person| person.devices())
            .map(|(_, registration)| registration["platform"].as_str().unwrap().to_owned())
            .collect();
        for platform in ["android", "ios", "web"] {
            assert!(platforms.iter().filter(|known| *known == platform).count() > 300, "{platform}");
        }
        assert_eq!(people.iter().filter(|person| person.devices().is_empty()).count(), 20);
        for fate in [Fate::Good, Fate::Gone, Fate::Malformed, Fate::Broken, Fate::Flaky] {
            let has = |person: &&Person| person.token("web").starts_with(fate.prefix());
            assert!(people.iter().filter(has).count() >= 10, "{fate:?}");
        }
    }
}
