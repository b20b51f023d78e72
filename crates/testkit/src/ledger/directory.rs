//! Devices: an address belongs to one at a time, and what a provider said of it can be undone.

use pabal_core::ErrorKind;
use pabal_core::limits;

use super::*;
use crate::fixtures::{APP, VISIBILITY_MS, android, device, ios, to_users, token, unregistered, user};

// ledger.md L48
pub async fn an_address_belongs_to_one_device(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    stage.register("ann", "phone", android("shared")).await;
    stage.register("ben", "phone", android("shared")).await;
    assert_eq!(store.device(APP, &user("ann"), &device("phone")).await.expect("a read"), None);
    let bens = store.devices(APP, &user("ben")).await.expect("a read");
    assert_eq!(bens.iter().map(|device| &device.registration).collect::<Vec<_>>(), [&android("shared")]);
    stage.register("ben", "tablet", ios("shared")).await;
    let bens = store.devices(APP, &user("ben")).await.expect("a read");
    assert_eq!(bens.iter().map(|device| device.id.as_str()).collect::<Vec<_>>(), ["tablet"]);
    // What was given up can be taken again.
    stage.register("ben", "tablet", ios("fresh")).await;
    stage.register("ann", "phone", android("shared")).await;
    assert_eq!(store.devices(APP, &user("ben")).await.expect("a read").len(), 1);
}

// ledger.md L49
pub async fn registering_anew_clears_the_mark_and_keeps_the_beginning(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let first = stage.now();
    stage.accept(to_users(&["ann"])).await;
    stage.settle_well(unregistered(&stage.claim_one().await)).await;
    stage.advance(VISIBILITY_MS);
    let of_ann = async || {
        let devices = stage.store().devices(APP, &user("ann")).await.expect("a read");
        devices.into_iter().next().expect("it is registered")
    };
    assert!(of_ann().await.mark.is_some());
    stage.register("ann", "phone", android("a")).await;
    let again = of_ann().await;
    assert_eq!((again.mark, again.created_at, again.seen_at), (None, first, stage.now()));
    assert_eq!(again.registration.target, token("a"));
}

// ledger.md L50
pub async fn a_user_has_a_bounded_number_of_devices(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    for n in 0..limits::DEVICES_PER_USER_MAX {
        stage.register("ann", &format!("d{n:02}"), android(&format!("t{n}"))).await;
    }
    stage.register("ben", "phone", android("bens")).await;
    let (ann, extra) = (user("ann"), device("extra"));
    let error = store.put_device(APP, &ann, &extra, &android("bens")).await.expect_err("one too many");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.to_string().contains(&limits::DEVICES_PER_USER_MAX.to_string()), "{error}");
    let bens = store.devices(APP, &user("ben")).await.expect("a read");
    assert_eq!(bens.len(), 1, "what is refused moves nothing");
    stage.register("ann", "d00", android("again")).await;
    // An address that moves within the user leaves as many as before.
    stage.register("ann", "extra", android("t1")).await;
    let names: Vec<_> = store.devices(APP, &ann).await.expect("a read").into_iter().map(|d| d.id).collect();
    assert_eq!(names.len(), limits::DEVICES_PER_USER_MAX);
    assert!(names.contains(&extra) && !names.contains(&device("d01")));
    assert!(names.is_sorted(), "by name");
}

// ledger.md L50
pub async fn many_devices_are_put_at_once_or_not_at_all(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    let many = |count: usize| -> Vec<_> {
        (0..count).map(|n| (user("ann"), device(&format!("d{n}")), android(&format!("t{n}")))).collect()
    };
    let error = store.put_devices(APP, &many(limits::DEVICES_PER_USER_MAX + 1)).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert_eq!(store.devices(APP, &user("ann")).await.expect("a read"), [], "not even the first");
    store.put_devices(APP, &many(limits::DEVICES_PER_USER_MAX)).await.expect("as many as there may be");
    let devices = store.devices(APP, &user("ann")).await.expect("a read");
    assert_eq!(devices.len(), limits::DEVICES_PER_USER_MAX);
}

// ledger.md L48
pub async fn a_deleted_device_is_gone(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let (store, ann, phone) = (stage.store(), user("ann"), device("phone"));
    stage.register("ann", "phone", android("a")).await;
    assert!(store.delete_device(APP, &ann, &phone).await.expect("a delete"));
    assert!(!store.delete_device(APP, &ann, &phone).await.expect("a delete"), "it was not there any more");
    assert_eq!(store.device(APP, &ann, &phone).await.expect("a read"), None);
    stage.register("ben", "phone", android("a")).await;
    assert_eq!(store.devices(APP, &user("ben")).await.expect("a read").len(), 1, "its address is free");
}
