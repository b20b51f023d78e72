//! What else a store keeps: API keys, pauses, and which store it is.

use pabal_core::seam::store::{KeyRecord, Pause};

use super::*;
use crate::fixtures::{APP, android_route};

// ledger.md L51
pub async fn keys_are_kept_by_their_hash(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    assert_eq!(stage.store().keys().await.expect("a count"), 0);
    let key = |n: u8| KeyRecord {
        hash: [n; 32],
        app: APP,
        name: format!("key {n}"),
        scopes: vec!["send".to_owned(), "read".to_owned()],
        created_at: stage.now(),
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
