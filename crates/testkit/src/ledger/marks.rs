//! Marks on devices: listed for who polls, and taken off again.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, MarkKind};
use pabal_core::ids::{DeviceId, UserId};
use pabal_core::outcome::Outcome;
use pabal_core::seam::store::{MarkFilter, MarkedAt};
use pabal_core::seam::{Change, Settlement, Work};
use pabal_core::verdict::Next;

use super::walking::all_pages;
use super::*;
use crate::fixtures::{APP, OTHER_APP, android, attempted, device, to_device, to_users, unregistered, user};

fn malformed(work: &Work) -> Settlement {
    let settlement = attempted(work, Outcome::MalformedTarget, Next::Dead(Reason::MalformedTarget));
    with_code(settlement, "INVALID_ARGUMENT")
}

fn with_code(mut settlement: Settlement, code: &str) -> Settlement {
    if let Change::Attempt(attempt) = &mut settlement.change {
        attempt.report = attempt.report.clone().with_code(code);
    }
    settlement
}

/// Registers a device, and has the provider say what marks it.
async fn marked<H: LedgerHarness>(stage: &mut Stage<H>, of: &str, name: &str, kind: MarkKind) {
    stage.register(of, name, android(&format!("{of}'s {name}"))).await;
    stage.accept(to_device(of, name)).await;
    let work = stage.claim_one().await;
    stage
        .settle_well(match kind {
            MarkKind::Retired => with_code(unregistered(&work), "UNREGISTERED"),
            MarkKind::Quarantined => malformed(&work),
        })
        .await;
}

/// Devices marked in two moments, a second apart: eve's, then three at once. And one without a mark.
async fn marked_in_two_moments<H: LedgerHarness>(stage: &mut Stage<H>) -> (Timestamp, Timestamp) {
    let first = stage.now();
    marked(stage, "eve", "phone", MarkKind::Quarantined).await;
    stage.advance(1000);
    marked(stage, "ben", "phone", MarkKind::Retired).await;
    marked(stage, "ann", "tablet", MarkKind::Retired).await;
    marked(stage, "ann", "phone", MarkKind::Quarantined).await;
    stage.register("zoe", "phone", android("z")).await;
    (first, stage.now())
}

fn names(devices: &[Device]) -> Vec<(&str, &str)> {
    devices.iter().map(|device| (device.user.as_str(), device.id.as_str())).collect()
}

async fn listed<H: LedgerHarness>(stage: &Stage<H>, filter: &MarkFilter, max: usize) -> Vec<Device> {
    let store = stage.store();
    let page = async |after: Option<MarkedAt>| store.marked_devices(APP, filter, after.as_ref(), max).await;
    all_pages(max, page).await
}

// ledger.md L75
pub async fn marked_devices_are_listed_by_the_time_of_their_mark(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let none = MarkFilter::default();
    assert_eq!(listed(&stage, &none, 10).await, []);
    let (first, second) = marked_in_two_moments(&mut stage).await;
    let expected = [("eve", "phone"), ("ann", "phone"), ("ann", "tablet"), ("ben", "phone")];
    for max in [1, 2, 3, 10] {
        let devices = listed(&stage, &none, max).await;
        assert_eq!(names(&devices), expected, "in pages of {max}");
        let times: Vec<_> = devices.iter().filter_map(|device| Some(device.mark.as_ref()?.at)).collect();
        assert_eq!(times, [first, second, second, second]);
    }
    let store = stage.store();
    let seen = MarkedAt { at: second, user: user("ben"), device: device("phone") };
    let poll =
        async || store.marked_devices(APP, &MarkFilter::default(), Some(&seen), 10).await.expect("a poll");
    let polled = poll().await;
    assert_eq!((polled.items, polled.next), (vec![], None), "nothing new");
    stage.advance(1);
    marked(&mut stage, "abe", "phone", MarkKind::Retired).await;
    let polled = poll().await;
    assert_eq!((names(&polled.items), polled.next), (vec![("abe", "phone")], None), "what came since");
    let others = store.marked_devices(OTHER_APP, &MarkFilter::default(), None, 10).await.expect("a list");
    assert_eq!(others.items, [], "they are another app's");
}

// ledger.md L75
pub async fn marked_devices_are_found_by_each_filter(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (_, second) = marked_in_two_moments(&mut stage).await;
    let none = MarkFilter::default();
    let of = |kind| MarkFilter { kind: Some(kind), ..MarkFilter::default() };
    let said = |code: &str| MarkFilter { reason: Some(code.to_owned()), ..MarkFilter::default() };
    let retired = vec![("ann", "tablet"), ("ben", "phone")];
    let quarantined = vec![("eve", "phone"), ("ann", "phone")];
    let since = Some(second);
    for (filter, expected) in [
        (of(MarkKind::Retired), retired.clone()),
        (of(MarkKind::Quarantined), quarantined.clone()),
        (said("UNREGISTERED"), retired),
        (said("INVALID_ARGUMENT"), quarantined),
        (said("SENDER_ID_MISMATCH"), vec![]),
        (MarkFilter { since, ..none.clone() }, vec![("ann", "phone"), ("ann", "tablet"), ("ben", "phone")]),
        (MarkFilter { until: since, ..none.clone() }, vec![("eve", "phone")]),
        (MarkFilter { since, until: since, ..none }, vec![]),
        (MarkFilter { since, ..of(MarkKind::Quarantined) }, vec![("ann", "phone")]),
        (MarkFilter { until: since, ..said("UNREGISTERED") }, vec![]),
        (MarkFilter { kind: Some(MarkKind::Retired), ..said("INVALID_ARGUMENT") }, vec![]),
    ] {
        for max in [1, 10] {
            assert_eq!(names(&listed(&stage, &filter, max).await), expected, "{filter:?} in pages of {max}");
        }
    }
}

fn one(of: &str, name: &str) -> (UserId, DeviceId) {
    (user(of), device(name))
}

// ledger.md L76
pub async fn a_restored_device_gets_deliveries_again(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    marked(&mut stage, "ann", "phone", MarkKind::Retired).await;
    marked(&mut stage, "ben", "phone", MarkKind::Retired).await;
    stage.register("zoe", "phone", android("z")).await;
    let left_out = stage.accept_one(to_users(&["ann"])).await;
    assert_eq!(stage.state(left_out).await, (DeliveryState::Undeliverable, Some(Reason::NoDevice)));
    let (store, anns) = (stage.store(), one("ann", "phone"));
    let others = store.restore_devices(OTHER_APP, std::slice::from_ref(&anns)).await.expect("a restore");
    assert_eq!(others, 0, "it is another app's");
    let named = [anns, one("ann", "unknown"), one("nobody", "phone"), one("zoe", "phone")];
    assert_eq!(store.restore_devices(APP, &named).await.expect("a restore"), 1, "one bore a mark");
    assert_eq!(store.restore_devices(APP, &named).await.expect("a restore"), 0, "and no longer does");
    let restored = store.device(APP, &user("ann"), &device("phone")).await.expect("a read");
    assert_eq!(restored.expect("it is registered").mark, None);
    assert_eq!(names(&listed(&stage, &MarkFilter::default(), 10).await), [("ben", "phone")]);
    stage.accept(to_users(&["ann"])).await;
    let again = stage.claim_one().await;
    stage.settle_well(unregistered(&again)).await;
    assert_eq!(listed(&stage, &MarkFilter::default(), 10).await.len(), 2, "it can be marked again");
}

// ledger.md L76
pub async fn devices_are_restored_by_a_filter_step_by_step(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for n in 0..5 {
        marked(&mut stage, "ann", &format!("d{n}"), MarkKind::Retired).await;
        marked(&mut stage, "ben", &format!("d{n}"), MarkKind::Quarantined).await;
    }
    let before = stage.now();
    stage.advance(1000);
    marked(&mut stage, "eve", "phone", MarkKind::Retired).await;
    let filter =
        MarkFilter { kind: Some(MarkKind::Retired), until: Some(before.plus_ms(1)), ..MarkFilter::default() };
    let store = stage.store();
    assert_eq!(store.restore_marked(OTHER_APP, &filter, 2).await.expect("a step"), 0);
    let mut restored = Vec::new();
    while restored.last() != Some(&0) {
        restored.push(store.restore_marked(APP, &filter, 2).await.expect("a step"));
        assert!(restored.len() < 10 && restored.iter().all(|step| *step <= 2), "{restored:?}");
    }
    assert_eq!(restored.iter().sum::<u64>(), 5);
    assert_eq!(listed(&stage, &filter, 10).await, []);
    let left = listed(&stage, &MarkFilter::default(), 10).await;
    let (bens, eves): (Vec<_>, Vec<_>) = left.into_iter().partition(|device| device.user == user("ben"));
    assert_eq!((bens.len(), names(&eves)), (5, vec![("eve", "phone")]));
}

// ledger.md L49
pub async fn registering_takes_a_device_off_the_list_of_marks(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    marked(&mut stage, "ann", "phone", MarkKind::Retired).await;
    marked(&mut stage, "ben", "phone", MarkKind::Retired).await;
    marked(&mut stage, "eve", "phone", MarkKind::Retired).await;
    stage.register("ann", "phone", android("fresh")).await;
    stage.register("ben", "phone", android("ben's phone")).await;
    assert_eq!(names(&listed(&stage, &MarkFilter::default(), 10).await), [("eve", "phone")]);
    assert!(stage.store().delete_device(APP, &user("eve"), &device("phone")).await.expect("a delete"));
    assert_eq!(listed(&stage, &MarkFilter::default(), 10).await, []);
}
