//! Files that earlier releases wrote: each must open, be read and be worked on by this one.

use std::path::PathBuf;

use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::ids::{DeliveryId, NotificationId};
use pabal_core::outcome::OutcomeKind;
use pabal_core::seam::store::{DeadLetter, KeyRecord, MarkFilter, Pause, Prune, Pruned};
use pabal_core::seam::{
    Claim, Content, DeadFilter, DeadLetters, Directory, History, Keys, Ledger, Page, Paged, Pauses, Records,
    Retention, Settled, Want, Work, Worker,
};
use pabal_sqlite::SqliteStore;
use pabal_testkit::clock::START;
use pabal_testkit::fixtures::{
    APP, HOUR_MS, VISIBILITY_MS, all_routes, android, delivered, device, notification_id, rejected,
    to_device, to_token, to_users, user,
};

use crate::world::{World, claim, key};

fn fixture(release: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{release}.db"))
}

fn to_phone(notification: NotificationId) -> DeliveryId {
    Recipient::Device { user: user("u"), device: device("phone") }.delivery_id(notification)
}

fn pause() -> Pause {
    Pause { route: "bulk/fcm/main/web".parse().unwrap(), reason: "by the operator".into(), since: START }
}

/// Writes the file of the release that this is. Run it once, at a release, and never again for that one:
/// `cargo test -p pabal-sqlite --test it -- --ignored write_the_file_of_this_release`.
#[tokio::test]
#[ignore = "writes a file of the repository"]
async fn write_the_file_of_this_release() {
    let world = World::new();
    let sqlite = world.open();
    let (store, ledger) = (sqlite.store(), sqlite.ledger());
    store.put_device(APP, &user("u"), &device("phone"), &android("t1")).await.unwrap();
    store.put_pause(&pause()).await.unwrap();
    store.put_key(&key(9, "ours")).await.unwrap();

    let accept = |acceptance| ledger.accept(vec![acceptance], None);
    accept(to_users(&["u", "nobody"]).key("first", 1).build(notification_id(1))).await.unwrap();
    for work in claim(&ledger, 1).await {
        ledger.settle(vec![delivered(&work)]).await.unwrap();
    }
    accept(to_device("u", "phone").build(notification_id(2))).await.unwrap();
    for work in claim(&ledger, 1).await {
        ledger.settle(vec![rejected(&work)]).await.unwrap();
    }
    accept(to_token("t2").build(notification_id(3))).await.unwrap();
    let in_an_hour = START.plus_ms(i64::try_from(HOUR_MS).unwrap());
    accept(to_users(&["u"]).bulk().send_at(in_an_hour).build(notification_id(4))).await.unwrap();

    drop((sqlite, store, ledger));
    let raw = world.raw();
    let version: u32 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    std::fs::create_dir_all(fixture(version).parent().unwrap()).unwrap();
    std::fs::copy(world.path(), fixture(version)).unwrap();
}

#[tokio::test]
async fn the_first_releases_file_is_read_and_worked_on() {
    let world = World::new();
    std::fs::copy(fixture(1), world.path()).unwrap();
    let sqlite = world.open();
    let (store, ledger) = (sqlite.store(), sqlite.ledger());

    let (view, timeline) = store.delivery(APP, to_phone(notification_id(1))).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempts), (DeliveryState::Delivered, 1));
    assert_eq!(timeline.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(), [OutcomeKind::Delivered]);
    let (view, timeline) = store.delivery(APP, to_phone(notification_id(2))).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason), (DeliveryState::Dead, Some(Reason::Rejected)));
    assert_eq!(timeline.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(), [OutcomeKind::Rejected]);
    let counts = store.notification(APP, notification_id(1)).await.unwrap().unwrap().counts;
    assert_eq!(counts, [(DeliveryState::Delivered, 1), (DeliveryState::Undeliverable, 1)]);
    assert_eq!(store.devices(APP, &user("u")).await.unwrap()[0].registration, android("t1"));
    assert_eq!(store.pauses().await.unwrap(), [pause()]);
    the_key_works_on(&store).await;

    let [work] = claim(&ledger, 1).await.try_into().unwrap();
    assert!(
        matches!(&work.content, Content::Delivery(content) if content.notification == notification_id(3))
    );
    assert_eq!(ledger.settle(vec![delivered(&work)]).await.unwrap()[0].settled, Settled::Settled);
    world.clock.advance(HOUR_MS);
    let [work] = claim(&ledger, 1).await.try_into().unwrap();
    assert!(matches!(&work.content, Content::FanOut(content) if content.notification == notification_id(4)));
}

/// A key of the first release had no id, and one of its words was another.
async fn the_key_works_on(store: &SqliteStore) {
    let found = store.key(&[9; 32]).await.unwrap().unwrap();
    let (made, random) = found.id.as_bytes().split_at(6);
    assert_eq!(made, &START.as_ms().to_be_bytes()[2..], "ids sort by the time they were made");
    assert_eq!((random[0] >> 4, random[2] >> 6), (7, 0b10), "a UUID of version 7");
    assert_eq!(found, KeyRecord { id: found.id, ..key(9, "ours") });
    let listed = store.list_keys(APP, true, None, 10).await.unwrap();
    assert_eq!((listed.items, listed.next), (vec![found.clone()], None));
    assert!(store.revoke_key(APP, found.id).await.unwrap().unwrap().revoked_at.is_some());
}

/// What of the first release's file is dead is listed, purged and forgotten like what died since.
#[tokio::test]
async fn the_first_releases_past_is_kept_by_the_new_rules() {
    let world = World::new();
    std::fs::copy(fixture(1), world.path()).unwrap();
    world
        .raw()
        .execute_batch("UPDATE notification_states SET state = 5, due_at = 7 WHERE state = 0")
        .unwrap();
    let store = world.open().store();
    let dead = store.list_dead(APP, &DeadFilter::all(), None, 10).await.unwrap().items;
    let [DeadLetter::FanOut { reason, died_at, .. }, DeadLetter::Delivery { view, last_attempt }] = &dead[..]
    else {
        panic!("{dead:?}")
    };
    assert_eq!((*reason, died_at.as_ms()), (Reason::Abandoned, 7));
    assert_eq!(view.reason, Some(Reason::Rejected));
    assert_eq!(last_attempt.as_ref().unwrap().outcome, OutcomeKind::Rejected);
    assert_eq!(store.purge_dead(APP, &DeadFilter::all(), None, 10).await.unwrap().purged, 2);

    let prune = Prune { ended_ms_ago: 0, dead_ms_ago: 0, after: None, rows_max: 100 };
    let an_hour = Prune { ended_ms_ago: HOUR_MS, ..prune };
    assert_eq!(store.prune(&an_hour).await.unwrap(), Pruned::default(), "its deliveries say when they ended");
    let pruned = store.prune(&prune).await.unwrap();
    assert_eq!((pruned.notifications, pruned.deliveries), (2, 2), "the third is open");
}

/// What the first release's file may hold too: a lease, a suspect, a fan-out between two pages, marks, and notifications
/// that ended without a delivery.
const UNDER_WAY: &str = "
    UPDATE queue SET place = 1, due_at = due_at + 60000, due_before = due_at - 1000, worker = 1, epoch = 5 WHERE fan_out = 0;
    UPDATE queue SET place = 2, due_at = due_before - 3600000, due_before = due_before - 3602000, epoch = 6, abandoned = 2
        WHERE fan_out = 1;
    UPDATE notifications SET recipients = '{\"users\":[\"nobody\",\"u\"]}' WHERE send_at IS NOT NULL;
    UPDATE notification_states SET state = 1, cursor = 1, page_epoch = 6, due_at = due_at - 3600000 WHERE state = 0;
    INSERT INTO devices SELECT app, 'v', device, channel, credential, platform, target_kind, 't9', locale, time_zone,
        'retired', 'unregistered', created_at + 7, created_at, seen_at FROM devices;
    INSERT INTO notifications SELECT unhex(printf('%032x', n)), app, lane, ttl_ms, send_at, channels, recipients, message,
        created_at FROM notifications, (SELECT 3 AS n UNION SELECT 4 UNION SELECT 5) WHERE send_at IS NOT NULL;
    INSERT INTO notification_states (id, state, due_at, expires_at)
        VALUES (unhex(printf('%032x', 3)), 3, 30, 31), (unhex(printf('%032x', 4)), 4, 40, 41), (unhex(printf('%032x', 5)), 5, 50, 51)";

#[tokio::test]
async fn what_was_under_way_in_the_first_releases_file_goes_on() {
    let world = World::new();
    std::fs::copy(fixture(1), world.path()).unwrap();
    world.raw().execute_batch(UNDER_WAY).unwrap();
    let sqlite = world.open();
    let (store, ledger) = (sqlite.store(), sqlite.ledger());

    let raw = world.raw();
    let texts = |sql: &str| -> Vec<String> {
        raw.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let start = START.as_ms();
    let fell_due =
        texts("SELECT concat_ws(' ', place, fell_due_at, epoch, abandoned) FROM queue ORDER BY place");
    assert_eq!(fell_due, [format!("1 {} 5 0", start - 1000), format!("2 {} 6 2", start - 2000)]);
    let states = "SELECT concat_ws(' ', state, finished_at, reason, ended_at, thinned) FROM notification_states ORDER BY id";
    assert_eq!(texts(states), ["3 30 0", "4 41 0", "5 50 abandoned 0", "2 0", "2 0", "2 0", "1 0"]);

    let [work] = claim(&ledger, 1).await.try_into().unwrap();
    assert_eq!((work.lease.late_ms, work.lease.abandoned), (1000, 1), "the process that leased it is gone");
    assert_eq!(ledger.settle(vec![delivered(&work)]).await.unwrap()[0].settled, Settled::Settled);
    let [work] = suspects(&ledger).await.try_into().unwrap();
    let Content::FanOut(content) = &work.content else { panic!("{work:?}") };
    assert_eq!((work.lease.late_ms, work.lease.abandoned), (2000, 2));
    let page = Page { lease: work.lease.clone(), from: content.cursor.clone(), users_max: 10 };
    let Paged::Made { last, .. } = ledger.page(page).await.unwrap() else { panic!("it holds the lease") };
    let made = store.deliveries(APP, notification_id(4), None, 10).await.unwrap();
    assert_eq!((last, made.len()), (true, 1), "it went on behind the first");
    assert_eq!(made[0].id, to_phone(notification_id(4)));

    let marked = store.marked_devices(APP, &MarkFilter::default(), None, 10).await.unwrap().items;
    let [marked] = &marked[..] else { panic!("{marked:?}") };
    assert_eq!((&marked.user, marked.mark.as_ref().unwrap().at), (&user("v"), START.plus_ms(7)));
}

async fn suspects(ledger: &dyn Ledger) -> Vec<Work> {
    let claim = Claim { want: Want::Suspects(all_routes()), worker: Worker(1), visibility_ms: VISIBILITY_MS };
    ledger.claim(claim).await.unwrap().work
}

#[tokio::test]
async fn a_file_keeps_the_identity_of_its_store() {
    let world = World::new();
    std::fs::copy(fixture(1), world.path()).unwrap();
    let id = world.open().store().store_id().await.unwrap();
    assert_eq!(world.open().store().store_id().await.unwrap(), id);
}

#[test]
fn an_upgraded_file_has_the_schema_of_a_new_one() {
    let (new, upgraded) = (World::new(), World::new());
    std::fs::copy(fixture(1), upgraded.path()).unwrap();
    let schema = |world: &World| -> Vec<String> {
        drop(world.open());
        let raw = world.raw();
        let mut read =
            raw.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(schema(&upgraded), schema(&new));
}
