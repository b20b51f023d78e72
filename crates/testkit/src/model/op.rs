//! What can happen to a ledger, and how histories are drawn.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use proptest::prelude::*;

use crate::fixtures::{Draft, HOUR_MS, VISIBILITY_MS, to_device, to_token, to_users};

/// One step of a history.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// A caller sends a notification; with `take`, the process asks for work in the same step.
    Accept { what: What, take: bool },
    /// A caller's answer was lost, and the same notification comes again under the same id.
    AcceptAgain { nth: usize },
    /// An app reports its registration.
    Register { user: usize, device: usize, token: usize, ios: bool },
    /// An app is signed out.
    DeleteDevice { user: usize, device: usize },
    /// The process claims whatever ordinary work is due.
    Claim,
    /// The process claims suspects.
    ClaimSuspects,
    /// An attempt ends under a lease, perhaps one that was lost long ago; its device may have got another token by
    /// then, and be on another platform.
    Settle { nth: usize, came: Came, refreshed: Option<(usize, bool)> },
    /// A lease goes back unused.
    Release { nth: usize },
    /// A lease is to last longer.
    Extend { nth: usize },
    /// A page of a fan-out; `again` repeats the page that the lease began with.
    Page { nth: usize, users_max: usize, again: bool },
    /// A caller cancels.
    Cancel(Which),
    /// The expirer's round.
    Expire,
    /// An operator redrives.
    Redrive(Letters),
    /// An operator purges.
    Purge(Letters),
    /// A person is forgotten, as callers do it (what is open is cancelled first), or at once.
    Erase { user: usize, cancel: bool },
    /// The pruner's round.
    Prune { ended_ms_ago: u64, dead_ms_ago: u64, rows_max: usize },
    /// The mark is taken off a device, or off all that were retired.
    Restore { one: Option<(usize, usize)> },
    /// Time passes.
    Advance { ms: u64 },
    /// The queue's server sets its clock back.
    SetBack { ms: i64 },
    /// The queue's server loses everything, and is filled again.
    Wipe,
    /// The process is killed, and another starts.
    Restart,
}

/// A notification to be accepted.
#[derive(Debug, Clone)]
pub(super) struct What {
    to: To,
    bulk: bool,
    ttl_s: u64,
    send_in_ms: Option<i64>,
    key: Option<(u8, u8)>,
}

#[derive(Debug, Clone)]
enum To {
    Users(Vec<usize>),
    Device { user: usize, device: usize },
    Token(usize),
}

/// What came of an attempt, or of a fan-out's turn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Came {
    Delivered,
    Failed { delay_ms: u64, counted: bool },
    Rejected,
    Unregistered,
    Malformed,
    Exhausted,
    WouldExpire,
    Abandoned,
}

/// Which work an operation is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Notification { nth: usize },
    Delivery { nth: usize },
    User { user: usize },
    All,
}

/// Which dead letters an operation is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letters {
    pub(super) which: Which,
    pub(super) reason: Option<Reason>,
    /// Those that died at least so long ago.
    pub(super) died_ms_ago: Option<i64>,
}

/// The users that histories know, each with up to two devices.
pub(super) const USERS: [&str; 3] = ["ann", "ben", "eve"];
pub(super) const DEVICES: [&str; 2] = ["phone", "tablet"];
/// The tokens that move between their devices.
pub(super) const TOKENS: [&str; 5] = ["t0", "t1", "t2", "t3", "t4"];

impl What {
    pub(super) fn draft(&self, now: Timestamp) -> Draft {
        let draft = match &self.to {
            To::Users(users) => to_users(&users.iter().map(|user| USERS[*user]).collect::<Vec<_>>()),
            To::Device { user, device } => to_device(USERS[*user], DEVICES[*device]),
            To::Token(token) => to_token(&format!("bare {}", TOKENS[*token])),
        };
        let draft = if self.bulk { draft.bulk() } else { draft }.ttl_s(self.ttl_s);
        let draft = match self.send_in_ms {
            Some(ms) => draft.send_at(now.plus_ms(ms)),
            None => draft,
        };
        match self.key {
            Some((key, body)) => draft.key(&key.to_string(), body),
            None => draft,
        }
    }
}

/// Histories of up to so many steps, on top of a few registrations.
pub(super) fn histories(steps_max: usize) -> impl Strategy<Value = Vec<Op>> {
    let first = prop::collection::vec(registrations(), 0..=4);
    (first, prop::collection::vec(ops(), 1..=steps_max)).prop_map(|(first, then)| [first, then].concat())
}

fn registrations() -> impl Strategy<Value = Op> {
    (0..USERS.len(), 0..DEVICES.len(), 0..TOKENS.len(), any::<bool>())
        .prop_map(|(user, device, token, ios)| Op::Register { user, device, token, ios })
}

fn ops() -> impl Strategy<Value = Op> {
    // The latest are the likeliest: what is far back is mostly stale.
    let nth = || prop_oneof![4 => 0usize..3, 1 => 0usize..12];
    prop_oneof![
        10 => (whats(), any::<bool>()).prop_map(|(what, take)| Op::Accept { what, take }),
        1 => nth().prop_map(|nth| Op::AcceptAgain { nth }),
        4 => registrations(),
        1 => (0..USERS.len(), 0..DEVICES.len())
            .prop_map(|(user, device)| Op::DeleteDevice { user, device }),
        14 => Just(Op::Claim),
        2 => Just(Op::ClaimSuspects),
        14 => (nth(), cames(), prop::option::weighted(0.25, (0..TOKENS.len(), any::<bool>())))
            .prop_map(|(nth, came, refreshed)| Op::Settle { nth, came, refreshed }),
        2 => nth().prop_map(|nth| Op::Release { nth }),
        2 => nth().prop_map(|nth| Op::Extend { nth }),
        6 => (nth(), 1usize..4, prop::bool::weighted(0.1))
            .prop_map(|(nth, users_max, again)| Op::Page { nth, users_max, again }),
        3 => whiches().prop_map(Op::Cancel),
        2 => Just(Op::Expire),
        3 => letters().prop_map(Op::Redrive),
        2 => letters().prop_map(Op::Purge),
        1 => (0..USERS.len(), any::<bool>()).prop_map(|(user, cancel)| Op::Erase { user, cancel }),
        2 => prunes(),
        1 => prop::option::weighted(0.7, (0..USERS.len(), 0..DEVICES.len()))
            .prop_map(|one| Op::Restore { one }),
        8 => prop::sample::select(vec![1, 1000, 10_000, VISIBILITY_MS, HOUR_MS])
            .prop_map(|ms| Op::Advance { ms }),
        1 => prop::sample::select(vec![1, 3_600_000]).prop_map(|ms| Op::SetBack { ms }),
        1 => Just(Op::Wipe),
        2 => Just(Op::Restart),
    ]
}

fn whats() -> impl Strategy<Value = What> {
    let to = prop_oneof![
        5 => prop::sample::subsequence((0..USERS.len()).collect::<Vec<_>>(), 1..=USERS.len())
            .prop_map(To::Users),
        1 => (0..USERS.len(), 0..DEVICES.len()).prop_map(|(user, device)| To::Device { user, device }),
        2 => (0..TOKENS.len()).prop_map(To::Token),
    ];
    let ttl_s = prop::sample::select(vec![0, 60, 3600, 3600]);
    let send_in_ms = prop_oneof![
        4 => Just(None),
        2 => prop::sample::select(vec![-30_000i64, 0, 1, 1000, 60_000]).prop_map(Some),
    ];
    let key = prop::option::weighted(0.3, (0u8..3, 0u8..2));
    (to, prop::bool::weighted(0.3), ttl_s, send_in_ms, key)
        .prop_map(|(to, bulk, ttl_s, send_in_ms, key)| What { to, bulk, ttl_s, send_in_ms, key })
}

fn cames() -> impl Strategy<Value = Came> {
    let delay_ms = prop::sample::select(vec![0, 1, 1000, 90_000]);
    prop_oneof![
        4 => Just(Came::Delivered),
        5 => (delay_ms, prop::bool::weighted(0.8))
            .prop_map(|(delay_ms, counted)| Came::Failed { delay_ms, counted }),
        2 => Just(Came::Rejected),
        3 => Just(Came::Unregistered),
        1 => Just(Came::Malformed),
        2 => Just(Came::Exhausted),
        1 => Just(Came::WouldExpire),
        1 => Just(Came::Abandoned),
    ]
}

fn whiches() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => (0usize..6).prop_map(|nth| Which::Notification { nth }),
        3 => (0usize..6).prop_map(|nth| Which::Delivery { nth }),
        1 => (0..USERS.len()).prop_map(|user| Which::User { user }),
        1 => Just(Which::All),
    ]
}

fn letters() -> impl Strategy<Value = Letters> {
    let reasons = vec![Reason::Rejected, Reason::Unregistered, Reason::AttemptsExhausted, Reason::Abandoned];
    let reason = prop::option::weighted(0.2, prop::sample::select(reasons));
    let died_ms_ago = prop::option::weighted(0.2, prop::sample::select(vec![0, 1000, 60_000]));
    (whiches(), reason, died_ms_ago).prop_map(|(which, reason, died_ms_ago)| Letters {
        which,
        reason,
        died_ms_ago,
    })
}

fn prunes() -> impl Strategy<Value = Op> {
    let ages_ms = || prop::sample::select(vec![0, 1000, HOUR_MS]);
    (ages_ms(), ages_ms(), 1usize..6).prop_map(|(one_ms, other_ms, rows_max)| Op::Prune {
        ended_ms_ago: one_ms.min(other_ms),
        // What is dead is kept longer, or as long.
        dead_ms_ago: one_ms.max(other_ms),
        rows_max,
    })
}
