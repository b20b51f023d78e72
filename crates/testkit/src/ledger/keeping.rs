//! What else a store keeps: apps, their keys, pauses, and which store it is.

use std::collections::BTreeSet;

use pabal_core::ErrorKind;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, AppName, KeyId};
use pabal_core::limits;
use pabal_core::seam::store::{App, KeyRecord, Pause};

use super::walking::all_pages;
use super::*;
use crate::clock::START;
use crate::fixtures::{APP, OTHER_APP, android, android_route, device, user};

fn app_name(text: &str) -> AppName {
    AppName::new(text).expect("an app's name")
}

async fn put_app(store: &dyn Store, name: &str) -> App {
    store.put_app(&app_name(name)).await.expect("an app").expect("it is new")
}

// ledger.md L77
pub async fn apps_are_made_once_and_listed_by_name(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let default = App { id: AppId::DEFAULT, name: app_name("default") };
    assert_eq!(stage.store().apps().await.expect("a list"), std::slice::from_ref(&default));
    let zeta = put_app(&*stage.store(), "zeta").await;
    let alpha = put_app(&*stage.store(), "alpha").await;
    assert_eq!(stage.store().put_app(&app_name("zeta")).await.expect("an answer"), None, "it is there");
    assert_eq!(stage.store().put_app(&app_name("default")).await.expect("an answer"), None);
    stage.restart().await;
    let store = stage.store();
    assert_eq!(store.apps().await.expect("a list"), [alpha.clone(), default, zeta.clone()]);
    let ids = BTreeSet::from([alpha.id, zeta.id, AppId::DEFAULT]);
    assert_eq!(ids.len(), 3, "each has a number of its own");
    let (ann, phone) = (user("ann"), device("phone"));
    for (app, token) in [(zeta.id, "shared"), (alpha.id, "shared")] {
        store.put_device(app, &ann, &phone, &android(token)).await.expect("a registration");
    }
    assert!(store.delete_device(zeta.id, &ann, &phone).await.expect("a delete"));
    assert!(store.device(alpha.id, &ann, &phone).await.expect("a read").is_some(), "each has its own");
}

// ledger.md L77
pub async fn there_is_a_bounded_number_of_apps(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    for n in 1..limits::APPS_MAX {
        put_app(&*store, &format!("app-{n}")).await;
    }
    let error = store.put_app(&app_name("one-more")).await.expect_err("one too many");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.to_string().contains(&limits::APPS_MAX.to_string()), "{error}");
    assert_eq!(store.put_app(&app_name("app-7")).await.expect("an answer"), None, "it is there");
    let names: Vec<AppName> = store.apps().await.expect("a list").into_iter().map(|app| app.name).collect();
    assert_eq!(names.len(), limits::APPS_MAX);
    assert!(names.is_sorted_by(|a, b| a < b), "by name, each once");
}

/// The key number `n` of an app. Ids sort as their numbers.
fn key_of(app: AppId, n: u16) -> KeyRecord {
    let mut hash = [0; 32];
    hash[..2].copy_from_slice(&n.to_be_bytes());
    KeyRecord {
        id: KeyId::new(START.plus_ms(i64::from(n)), [0; 10]),
        hash,
        app,
        name: format!("key {n}"),
        scopes: vec!["send".to_owned(), "read".to_owned()],
        created_at: START.plus_ms(i64::from(n)),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

async fn put_key(store: &dyn Store, key: &KeyRecord) {
    store.put_key(key).await.expect("a key is kept");
}

async fn read_key(store: &dyn Store, key: &KeyRecord) -> KeyRecord {
    store.key(&key.hash).await.expect("a read").expect("it is kept")
}

// ledger.md L78
pub async fn keys_are_listed_newest_first(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let other = put_app(&*stage.store(), "other").await.id;
    for n in 1..=7 {
        put_key(&*stage.store(), &key_of(if n == 4 { other } else { APP }, n)).await;
    }
    for n in [2, 7] {
        stage.store().revoke_key(APP, key_of(APP, n).id).await.expect("a revocation").expect("it is there");
    }
    stage.restart().await;
    let store = stage.store();
    let listed = async |app: AppId, with_revoked: bool, max: usize| -> Vec<String> {
        let page = async |before| store.list_keys(app, with_revoked, before, max).await;
        all_pages(max, page).await.into_iter().map(|key| key.name).collect()
    };
    for max in [1, 2, 100] {
        assert_eq!(listed(APP, false, max).await, ["key 6", "key 5", "key 3", "key 1"]);
        let all = ["key 7", "key 6", "key 5", "key 3", "key 2", "key 1"];
        assert_eq!(listed(APP, true, max).await, all);
        assert_eq!(listed(other, false, max).await, ["key 4"]);
    }
    let shown = store.list_keys(APP, false, None, 1).await.expect("a page").items;
    assert_eq!(shown, [key_of(APP, 6)], "as it was given");
}

// ledger.md L79
pub async fn a_key_is_revoked_for_good(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let key = key_of(APP, 1);
    put_key(&*stage.store(), &key).await;
    let store = stage.store();
    assert_eq!(store.revoke_key(OTHER_APP, key.id).await.expect("an answer"), None, "it is another app's");
    assert_eq!(store.revoke_key(APP, key_of(APP, 2).id).await.expect("an answer"), None, "there is none");
    assert_eq!(read_key(&*store, &key).await, key);
    let revoked = KeyRecord { revoked_at: Some(stage.now()), ..key.clone() };
    assert_eq!(store.revoke_key(APP, key.id).await.expect("an answer"), Some(revoked.clone()));
    stage.advance(1000);
    let again = store.revoke_key(APP, key.id).await.expect("an answer");
    assert_eq!(again, Some(revoked.clone()), "since the first time");
    store.touch_keys(&[(key.id, stage.now())]).await.expect("a touch");
    drop(store);
    stage.restart().await;
    let kept = KeyRecord { last_used_at: Some(stage.now()), ..revoked };
    assert_eq!(read_key(&*stage.store(), &key).await, kept);
    assert_eq!(stage.store().keys().await.expect("a count"), 1, "it still counts as one that there is");
}

// ledger.md L79
pub async fn what_is_known_of_a_key_is_kept(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let expires_at = Some(stage.now().plus_ms(1));
    let (one, two) = (KeyRecord { expires_at, ..key_of(APP, 1) }, key_of(APP, 2));
    for key in [&one, &two] {
        put_key(&*stage.store(), key).await;
    }
    stage.advance(60_000);
    let at = |ms| START.plus_ms(ms);
    let touch = async |used: &[(KeyId, Timestamp)]| {
        stage.store().touch_keys(used).await.expect("a touch");
    };
    touch(&[(one.id, at(5000)), (two.id, at(3000)), (key_of(APP, 9).id, at(1))]).await;
    touch(&[(one.id, at(4000)), (two.id, at(6000))]).await;
    touch(&[]).await;
    stage.restart().await;
    let used = |key: &KeyRecord, ms| KeyRecord { last_used_at: Some(at(ms)), ..key.clone() };
    assert_eq!(
        read_key(&*stage.store(), &one).await,
        used(&one, 5000),
        "never back, and expired keys are kept"
    );
    assert_eq!(read_key(&*stage.store(), &two).await, used(&two, 6000));
}

// ledger.md L80
pub async fn an_app_has_a_bounded_number_of_keys(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    let other = put_app(&*store, "other").await.id;
    let max = u16::try_from(limits::KEYS_PER_APP_MAX).expect("a thousand");
    for n in 1..=max {
        put_key(&*store, &key_of(APP, n)).await;
    }
    let one_more = key_of(APP, max + 1);
    let error = store.put_key(&one_more).await.expect_err("one too many");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.to_string().contains(&limits::KEYS_PER_APP_MAX.to_string()), "{error}");
    assert_eq!(store.key(&one_more.hash).await.expect("a read"), None, "what is refused is not kept");
    put_key(&*store, &key_of(other, max + 2)).await;
    store.revoke_key(APP, key_of(APP, 1).id).await.expect("a revocation").expect("it is there");
    put_key(&*store, &one_more).await;
    assert_eq!(store.keys().await.expect("a count"), u64::from(max) + 2);
}

// ledger.md L51
pub async fn keys_are_kept_by_their_hash(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    assert_eq!(stage.store().keys().await.expect("a count"), 0);
    let key = |n: u8| KeyRecord {
        id: KeyId::from_bytes([n; 16]),
        hash: [n; 32],
        app: APP,
        name: format!("key {n}"),
        scopes: vec!["send".to_owned(), "read".to_owned()],
        created_at: stage.now(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    let (one, two) = (key(1), key(2));
    for key in [&one, &two] {
        stage.store().put_key(key).await.expect("a key is kept");
    }
    stage.restart().await;
    assert_eq!(stage.store().key(&[1; 32]).await.expect("a read"), Some(one));
    assert_eq!(stage.store().key(&[2; 32]).await.expect("a read"), Some(two));
    assert_eq!(stage.store().key(&[3; 32]).await.expect("a read"), None);
    assert_eq!(stage.store().keys().await.expect("a count"), 2);
}

// ledger.md L52
pub async fn a_pause_survives_a_restart_and_keeps_its_beginning(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let pause =
        Pause { route: android_route(), reason: "the credential is refused".into(), since: stage.now() };
    stage.store().put_pause(&pause).await.expect("a pause is kept");
    stage.advance(1000);
    let again = Pause { since: stage.now(), reason: "again".into(), ..pause.clone() };
    stage.store().put_pause(&again).await.expect("a pause is kept");
    stage.restart().await;
    assert_eq!(stage.store().pauses().await.expect("a read"), [pause], "since when it is so");
    assert!(stage.store().clear_pause(&android_route()).await.expect("an end"));
    assert!(!stage.store().clear_pause(&android_route()).await.expect("an end"), "there is none any more");
    assert_eq!(stage.store().pauses().await.expect("a read"), []);
}

// ledger.md L53
pub async fn a_store_keeps_its_identity(mut harness: impl LedgerHarness) {
    let before = harness.store().store_id().await.expect("an id");
    harness.restart().await;
    assert_eq!(harness.store().store_id().await.expect("an id"), before);
}
