//! A disk (or a size limit) that is full: refused for now, nothing kept by halves, and on as soon as there is room.

use pabal_core::ids::NotificationId;
use pabal_core::seam::{Acceptance, Directory, History, Keys, Ledger};
use pabal_core::{ErrorKind, Result};
use pabal_sqlite::{Sqlite, SqliteConfig, SqliteStore};
use pabal_testkit::fixtures::{APP, android, device, notification_id, to_token, user};
use tokio::task::JoinSet;

use crate::world::{World, all_are_submitted, claim, key};

/// Pages that the file may grow by.
const ROOM: u32 = 200;

fn open_bounded(world: &World) -> Sqlite {
    drop(world.open());
    let pages: u32 = world.raw().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    world.try_open(&SqliteConfig { pages_max: Some(pages + ROOM), ..SqliteConfig::at(world.path()) }).unwrap()
}

/// Registers devices until no more fit; answers how many did.
async fn fill(store: &SqliteStore) -> usize {
    for n in 0.. {
        let put =
            store.put_device(APP, &user(&format!("u{n}")), &device("d"), &android(&long_token(n))).await;
        let Err(error) = put else { continue };
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Full, true), "{error}");
        assert_eq!(store.devices(APP, &user(&format!("u{n}"))).await.unwrap(), []);
        return n;
    }
    unreachable!("it fills")
}

fn long_token(n: usize) -> String {
    format!("{n}-{}", "x".repeat(500))
}

fn long(n: u64) -> Acceptance {
    to_token(&format!("t{n}")).titled(&"y".repeat(1000)).build(notification_id(n))
}

async fn is_there(store: &SqliteStore, id: NotificationId) -> bool {
    let notification = store.notification(APP, id).await.unwrap();
    assert_eq!(store.deliveries(APP, id, None, 9).await.unwrap().len(), usize::from(notification.is_some()));
    notification.is_some()
}

#[tokio::test]
async fn a_full_disk_refuses_for_now_and_keeps_nothing_by_halves() {
    let world = World::new();
    let sqlite = open_bounded(&world);
    let (store, ledger) = (sqlite.store(), sqlite.ledger());
    let devices = fill(&store).await;

    let batch: Vec<Acceptance> = (1..=50).map(long).collect();
    let refused = ledger.accept(batch.clone(), None).await.unwrap_err();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Full, true), "{refused}");
    for n in 1..=50 {
        assert!(!is_there(&store, notification_id(n)).await);
    }
    assert!(claim(&ledger, 1).await.is_empty());

    for n in 0..devices {
        assert!(store.delete_device(APP, &user(&format!("u{n}")), &device("d")).await.unwrap());
    }
    ledger.accept(batch[..20].to_vec(), None).await.unwrap();
    assert_eq!(claim(&ledger, 1).await.len(), 20);
}

/// Runs calls as one group on a database that has room for the small ones among them. Every third is far too much.
async fn group<T, F>(world: &World, call: impl Fn(usize, bool) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let held = world.raw();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls = JoinSet::new();
    for n in 0..9 {
        calls.spawn(call(n, n % 3 == 1));
    }
    all_are_submitted().await;
    held.execute_batch("COMMIT").unwrap();
    calls.join_all().await
}

/// What is told is true: what was refused is not there, and is worth trying again.
fn assert_true(answer: &Result<()>, is_there: bool, is_large: bool) {
    assert_eq!(answer.is_ok(), is_there, "{answer:?}");
    match answer {
        Ok(()) => assert!(!is_large, "it does not fit"),
        Err(error) => assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Full, true), "{error}"),
    }
}

async fn make_room(store: &SqliteStore, devices: usize) {
    for n in 0..devices / 3 {
        store.delete_device(APP, &user(&format!("u{n}")), &device("d")).await.unwrap();
    }
}

#[tokio::test]
async fn every_answer_of_a_group_that_did_not_fit_is_true() {
    let world = World::new();
    let store = open_bounded(&world).store();
    let devices = fill(&store).await;
    make_room(&store, devices).await;

    let calls = group(&world, |call, is_large| {
        let owner = |n| user(&format!("call-{call}-{n}"));
        let token = |n| long_token(devices * (call + 1) + n);
        let size = if is_large { devices } else { 1 };
        let put: Vec<_> = (0..size).map(|n| (owner(n), device("d"), android(&token(n)))).collect();
        let store = store.clone();
        async move { (store.put_devices(APP, &put).await, is_large, put) }
    });
    for (answer, is_large, put) in calls.await {
        for (user, device, _) in &put {
            assert_true(&answer, store.device(APP, user, device).await.unwrap().is_some(), is_large);
        }
    }
    store.put_device(APP, &user("last"), &device("d"), &android("last")).await.unwrap();
    assert_eq!(store.devices(APP, &user("last")).await.unwrap().len(), 1);
}

/// SQLite itself may end the whole transaction where a statement of one row finds no room.
#[tokio::test]
async fn every_answer_is_true_though_the_transaction_was_lost() {
    let world = World::new();
    let store = open_bounded(&world).store();
    let devices = fill(&store).await;
    make_room(&store, devices).await;

    let calls = group(&world, |call, is_large| {
        let name = "n".repeat(if is_large { 1024 * ROOM as usize } else { 10 });
        let key = key(u8::try_from(call).unwrap(), &name);
        let store = store.clone();
        async move { (store.put_key(&key).await, is_large, key) }
    });
    for (answer, is_large, key) in calls.await {
        assert_true(&answer, store.key(&key.hash).await.unwrap().is_some(), is_large);
    }
    store.put_device(APP, &user("last"), &device("d"), &android("last")).await.unwrap();
    assert_eq!(store.devices(APP, &user("last")).await.unwrap().len(), 1);
}
