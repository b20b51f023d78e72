//! What is sent: notifications of every shape, drawn from the seed before anything starts.
//!
//! | share | to | why |
//! | --- | --- | --- |
//! | most | one user, one device, one token | what is expanded when it is accepted |
//! | some of them | the same, a second or two later | what is resolved by a fan-out |
//! | 2 in 100 | 10 to 40 users | many deliveries in one commit |
//! | one per [`BLAST_EVERY`] deliveries | 600 users, a second later | a fan-out of several pages, and a burst on the bulk lane |

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::index;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::judge::Expected;
use super::people::{People, Target, USERS};

/// Deliveries after which there is a blast.
const BLAST_EVERY: u64 = 6000;
/// Users of a blast: more than one page.
const BLAST_USERS: usize = 600;
/// How far ahead what is sent later lies.
const LATER_MS: std::ops::RangeInclusive<i64> = 500..=2000;
/// Seconds that everything is worth delivering: longer than any run.
const TTL_S: u32 = 86_400;

/// Everything that will be sent.
pub(crate) struct Plan {
    pub(crate) people: Arc<People>,
    notifications: Vec<Planned>,
    seed: u64,
}

struct Planned {
    to: To,
    lane: &'static str,
    later_ms: Option<i64>,
}

enum To {
    Users(Vec<usize>),
    /// User and place of the device.
    Device(usize, usize),
    Token(Target),
}

impl Plan {
    /// Draws notifications until they are bound to make `deliveries` deliveries.
    pub(crate) fn draw(seed: u64, deliveries: u64) -> Plan {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut plan = Plan { people: Arc::new(People::draw(&mut rng)), notifications: Vec::new(), seed };
        let (mut made, mut blasts) = (0, 0);
        while made < deliveries {
            let blast = made / BLAST_EVERY >= blasts;
            blasts += u64::from(blast);
            let planned = if blast { Planned::blast(&mut rng) } else { plan.single(&mut rng) };
            made += plan.targets(&planned.to).iter().filter(|expected| !expected.optional).count() as u64;
            plan.notifications.push(planned);
        }
        plan
    }

    fn single(&self, rng: &mut SmallRng) -> Planned {
        let user = rng.random_range(0..USERS);
        let to = match rng.random_range(0..100) {
            0..2 => {
                let count = rng.random_range(10..=40);
                To::Users(index::sample(rng, USERS, count).into_vec())
            }
            2..20 => To::Token(Target::literal(rng, self.notifications.len())),
            20..35 => To::Device(user, rng.random_range(0..self.people.all[user].devices.len())),
            _ => To::Users(vec![user]),
        };
        let lane = if rng.random_bool(0.7) { "transactional" } else { "bulk" };
        let later_ms = rng.random_bool(0.1).then(|| rng.random_range(LATER_MS));
        Planned { to, lane, later_ms }
    }

    /// How many notifications there are.
    pub(crate) fn len(&self) -> usize {
        self.notifications.len()
    }

    /// The request of one. It is made once and repeated byte for byte, as its key demands.
    pub(crate) fn request(&self, number: usize) -> (String, Bytes) {
        let Planned { to, lane, later_ms } = &self.notifications[number];
        let user = |user: usize| self.people.all[user].user.as_str();
        let to = match to {
            To::Users(users) if users.len() == 1 => json!({ "user": user(users[0]) }),
            To::Users(users) => {
                json!({ "users": users.iter().map(|number| user(*number)).collect::<Vec<_>>() })
            }
            To::Device(owner, place) => {
                let device = &self.people.all[*owner].devices[*place].name;
                json!({ "device": { "user": user(*owner), "device": device } })
            }
            To::Token(target) => json!({ "token": &*target.token }),
        };
        let mut body = json!({
            "to": to,
            "title": "Prove your day",
            "body": format!("One photo before midnight, number {number}."),
            "data": { "number": number.to_string() },
            "lane": lane,
            "ttl": TTL_S,
        });
        if let Some(later_ms) = later_ms {
            let send_at = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(*later_ms);
            body["send_at"] = send_at.to_string().into();
        }
        (format!("kill-{}-{number}", self.seed), body.to_string().into())
    }

    /// Whom one is for.
    pub(crate) fn expected(&self, number: usize) -> Vec<Expected> {
        self.targets(&self.notifications[number].to)
    }

    fn targets(&self, to: &To) -> Vec<Expected> {
        match to {
            To::Users(users) => {
                let devices = users.iter().flat_map(|user| &self.people.all[*user].devices);
                devices.map(|device| Expected::of_user(&device.target)).collect()
            }
            To::Device(user, place) => {
                vec![Expected::named(&self.people.all[*user].devices[*place].target)]
            }
            To::Token(target) => vec![Expected::named(target)],
        }
    }
}

impl Planned {
    fn blast(rng: &mut SmallRng) -> Planned {
        let users = index::sample(rng, USERS, BLAST_USERS).into_vec();
        Planned { to: To::Users(users), lane: "bulk", later_ms: Some(1000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_plan_and_as_much_as_was_asked_for() {
        let (one, other) = (Plan::draw(7, 20_000), Plan::draw(7, 20_000));
        let required = |plan: &Plan| -> Vec<usize> {
            let required = |number| plan.expected(number).iter().filter(|one| !one.optional).count();
            (0..plan.len()).map(required).collect()
        };
        assert_eq!(required(&one), required(&other));
        let sum: usize = required(&one).iter().sum();
        assert!((20_000..23_000).contains(&sum), "{sum}");
    }

    #[test]
    fn every_shape_and_every_fate_is_there() {
        let plan = Plan::draw(1, 50_000);
        let has = |part: &str| {
            (0..plan.len())
                .any(|number| plan.request(number).1.windows(part.len()).any(|at| at == part.as_bytes()))
        };
        for part in [
            "\"user\":",
            "\"users\":",
            "\"device\":",
            "\"token\":",
            "send_at",
            "gone-",
            "malformed-",
            "foreign-",
        ] {
            assert!(has(part), "{part}");
        }
        assert!(plan.people.all.iter().all(|person| !person.devices[0].target.fate.retires()));
    }
}
