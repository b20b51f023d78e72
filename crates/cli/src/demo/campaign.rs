//! What the demo sends: what a challenge app tells its people, ten messages each.

use serde_json::{Value, json};

use super::people::{PEOPLE, Person};

/// How many notifications there are.
pub(super) const NOTIFICATIONS: usize = 20_000;

/// What the app has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Progress,
    Reminder,
    Cheer,
    Reward,
}

/// The body of notification number `n`, and the key that makes it one however often it is sent.
pub(super) fn notification(n: usize) -> (Value, String) {
    let (person, round) = (Person(n % PEOPLE), n / PEOPLE);
    let occasion = match round % 4 {
        0 => Occasion::Progress,
        1 => Occasion::Reminder,
        2 => Occasion::Cheer,
        _ => Occasion::Reward,
    };
    let (title, body) = occasion.texts(person, round);
    // People wait for a reward or a cheer; a reminder goes to many at once and may queue behind them.
    let lane = match occasion {
        Occasion::Progress | Occasion::Reminder => "bulk",
        Occasion::Cheer | Occasion::Reward => "transactional",
    };
    let request = json!({
        "to": { "user": person.user() },
        "title": title,
        "body": body,
        "data": { "kind": occasion.word(), "day": (round + 1).to_string() },
        "link": format!("https://challenge.example/days/{}", round + 1),
        "lane": lane,
        "ttl": 86_400,
    });
    (request, format!("demo-{n:05}"))
}

impl Occasion {
    const fn word(self) -> &'static str {
        match self {
            Occasion::Progress => "progress",
            Occasion::Reminder => "reminder",
            Occasion::Cheer => "cheer",
            Occasion::Reward => "reward",
        }
    }

    fn texts(self, person: Person, round: usize) -> (String, String) {
        let (name, day, points) = (person.name(), round + 1, 50 * (round + 1));
        let (title, body) = if person.is_korean() {
            match self {
                Occasion::Progress => (
                    format!("{day}일째 달리는 중 🏃"),
                    format!("{name}님, 이번 주 목표의 {}%를 채웠어요.", 10 * day),
                ),
                Occasion::Reminder => (
                    "오늘을 인증해 주세요".to_owned(),
                    format!("{name}님, 자정까지 사진 한 장이면 {day}일 연속이에요."),
                ),
                Occasion::Cheer => {
                    ("친구가 응원을 보냈어요 🙌".to_owned(), format!("{name}님, 오늘도 함께해요!"))
                }
                Occasion::Reward => {
                    (format!("{points}포인트 적립!"), format!("{name}님, {day}일 챌린지를 해냈어요."))
                }
            }
        } else {
            match self {
                Occasion::Progress => (
                    format!("Day {day} 🏃"),
                    format!("{name}, you have done {}% of this week's goal.", 10 * day),
                ),
                Occasion::Reminder => (
                    "Prove your day".to_owned(),
                    format!("{name}, one photo before midnight makes it {day} in a row."),
                ),
                Occasion::Cheer => {
                    ("A friend cheers for you 🙌".to_owned(), format!("{name}, you are in this together."))
                }
                Occasion::Reward => {
                    (format!("{points} points!"), format!("{name}, you have made it through day {day}."))
                }
            }
        };
        (title, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_has_a_key_of_its_own_and_a_person() {
        let keys: std::collections::BTreeSet<String> =
            (0..NOTIFICATIONS).map(|n| notification(n).1).collect();
        assert_eq!(keys.len(), NOTIFICATIONS);
        let (request, _) = notification(NOTIFICATIONS - 1);
        assert_eq!(request["to"]["user"], "runner-1999");
    }
}
