use pabal_core::ids::UserId;
use pabal_core::limits;
use pabal_core::seam::store::NewRedrive;
use rusqlite::params;

use super::*;
use crate::store::testing::Db;

const APP: AppId = AppId::DEFAULT;
const OTHER_APP: AppId = AppId(2);

/// Ids in an order of our own: `n` says which comes first.
fn delivery(n: u32) -> DeliveryId {
    DeliveryId::from_bytes(bytes(n))
}

fn fan_out(n: u32) -> NotificationId {
    NotificationId::from_bytes(bytes(n))
}

fn bytes(n: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[2..6].copy_from_slice(&n.to_be_bytes());
    bytes[15] = 1;
    bytes
}

fn put_delivery(db: &Db, n: u32, app: AppId, reason: Option<Reason>) {
    let put = "INSERT INTO deliveries (id, app, notification, user, created_at) VALUES (?1, ?2, ?1, 'u', 1)";
    db.connection.execute(put, params![bytes(n), app.0]).unwrap();
    let put = "INSERT INTO delivery_states (id, state, reason, due_at, attempts, finished_at) VALUES (?1, ?2, ?3, 1, 1, ?4)";
    let state = if reason.is_some() { 3 } else { 2 };
    db.connection.execute(put, params![bytes(n), state, reason.map(Reason::as_str), n]).unwrap();
}

fn put_fan_out(db: &Db, n: u32, app: AppId) {
    let put =
        "INSERT INTO notifications VALUES (?1, ?2, 'bulk', 1, NULL, NULL, '{\"users\":[\"u\"]}', '{}', 1)";
    db.connection.execute(put, params![bytes(n), app.0]).unwrap();
    let put = "INSERT INTO notification_states (id, state, due_at, expires_at, reason, finished_at)
        VALUES (?1, 5, 1, 1, 'abandoned', ?2)";
    db.connection.execute(put, params![bytes(n), n]).unwrap();
}

/// Deliveries and fan-outs that take turns, some of them another app's or not dead.
fn mixed(count: u32) -> (Db, Vec<ItemId>) {
    let db = Db::new();
    let mut dead = Vec::new();
    for n in 1..=count {
        match n % 5 {
            0 => put_delivery(&db, n, OTHER_APP, Some(Reason::Rejected)),
            1 => put_delivery(&db, n, APP, None),
            2 => put_fan_out(&db, n, OTHER_APP),
            3 => {
                put_fan_out(&db, n, APP);
                dead.push(ItemId::FanOut(fan_out(n)));
            }
            _ => {
                put_delivery(&db, n, APP, Some(Reason::Abandoned));
                dead.push(ItemId::Delivery(delivery(n)));
            }
        }
    }
    (db, dead)
}

/// All pages upwards.
fn upwards(db: &Db, filter: &DeadFilter, bounds: Bounds) -> Vec<ItemId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = Dead { app: APP, filter }.after(&db.connection, after, bounds).unwrap();
        assert!(page.found.len() <= bounds.max && page.looked <= bounds.looks, "{page:?} within {bounds:?}");
        all.extend(page.found);
        assert!(page.next.is_none() || page.next > after, "it goes on");
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// All pages downwards.
fn downwards(db: &Db, filter: &DeadFilter, max: usize) -> (Vec<ItemId>, usize) {
    let (mut all, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let (found, next) = Dead { app: APP, filter }.before(&db.connection, before, max).unwrap();
        assert!(found.len() <= max);
        all.extend(found);
        pages += 1;
        before = next;
        if before.is_none() {
            return (all, pages);
        }
    }
}

#[test]
fn upwards_deliveries_come_first_however_small_the_steps() {
    let (db, mut dead) = mixed(40);
    dead.sort_unstable();
    for (max, looks) in [(1, 1), (1, 100), (100, 1), (2, 3), (3, 2), (8, 16), (100, 100)] {
        assert_eq!(upwards(&db, &DeadFilter::all(), Bounds { max, looks }), dead, "{max} of {looks}");
    }
}

#[test]
fn downwards_both_kinds_are_merged() {
    let (db, mut dead) = mixed(40);
    dead.sort_unstable_by_key(|id| std::cmp::Reverse(*id.as_bytes()));
    for max in [1, 2, 3, 7, 100] {
        assert_eq!(downwards(&db, &DeadFilter::all(), max).0, dead, "{max}");
    }
}

#[test]
fn below_where_one_kind_stopped_nothing_is_shown() {
    let walked = |found: &[ItemId], next| Walked { found: found.to_vec(), looked: 0, last: None, next };
    let (nine, five) = (ItemId::Delivery(delivery(9)), ItemId::Delivery(delivery(5)));
    let (eight, four) = (ItemId::FanOut(fan_out(8)), ItemId::FanOut(fan_out(4)));
    // Deliveries between 5 and 4 are not known of yet.
    let (found, next) = merged(walked(&[nine, five], Some(five)), walked(&[eight, four], None), 9);
    assert_eq!((found, next), (vec![nine, eight, five], Some(five)));
    let (found, next) = merged(walked(&[nine], Some(nine)), walked(&[], Some(eight)), 9);
    assert_eq!((found, next), (vec![nine], Some(nine)));
    let (found, next) = merged(walked(&[nine, five], None), walked(&[eight], None), 2);
    assert_eq!((found, next), (vec![nine, eight], Some(eight)));
    let (found, next) = merged(walked(&[nine, five], None), walked(&[eight], None), 3);
    assert_eq!((found, next), (vec![nine, eight, five], None));
}

#[test]
fn a_filter_is_held_against_each() {
    let (db, dead) = mixed(40);
    let only = |filter: &DeadFilter| {
        let up = upwards(&db, filter, Bounds { max: 3, looks: 4 });
        let (mut down, _) = downwards(&db, filter, 3);
        down.sort_unstable();
        assert_eq!(up, down);
        up
    };
    let of = |wanted: &dyn Fn(&ItemId) -> bool| {
        let mut wanted: Vec<ItemId> = dead.iter().copied().filter(|id| wanted(id)).collect();
        wanted.sort_unstable();
        wanted
    };
    let is_delivery = |id: &ItemId| matches!(id, ItemId::Delivery(_));
    let all = DeadFilter::all;
    assert_eq!(only(&DeadFilter { reason: Some(Reason::Rejected), ..all() }), []);
    assert_eq!(only(&DeadFilter { reason: Some(Reason::Abandoned), ..all() }), of(&|_| true));
    assert_eq!(only(&DeadFilter::of_user(UserId::new("u").unwrap())), of(&is_delivery));
    assert_eq!(only(&DeadFilter::of_user(UserId::new("v").unwrap())), []);
    assert_eq!(only(&DeadFilter { channel: Some(ChannelKind::Fcm), ..all() }), [], "none has a route");
    assert_eq!(only(&DeadFilter::of_notification(fan_out(8))), [ItemId::FanOut(fan_out(8))]);
    assert_eq!(only(&DeadFilter::of_notification(fan_out(9))), [ItemId::Delivery(delivery(9))]);
    assert_eq!(only(&DeadFilter::of_delivery(delivery(10))), [], "it is another app's");
    let at = |ms| Some(Timestamp::from_ms(ms));
    let within = |id: &ItemId| (*id.as_bytes())[5] >= 8 && (*id.as_bytes())[5] < 19;
    assert_eq!(only(&DeadFilter { since: at(8), until: at(19), ..all() }), of(&within));
}

#[test]
fn a_channel_is_that_of_the_route() {
    let db = Db::new();
    db.execute("INSERT INTO routes VALUES (1, 'bulk/fcm/main/ios'), (2, 'bulk/other/fcm/web')");
    for n in 1..=2 {
        put_delivery(&db, n, APP, Some(Reason::Rejected));
        db.connection
            .execute("UPDATE delivery_states SET route = ?1 WHERE id = ?2", params![n, bytes(n)])
            .unwrap();
    }
    let filter = DeadFilter { channel: Some(ChannelKind::Fcm), ..DeadFilter::all() };
    assert_eq!(upwards(&db, &filter, Bounds::of_page(9)), [ItemId::Delivery(delivery(1))]);
}

/// What a filter finds three of among fifty thousand.
fn fifty_thousand() -> Db {
    let db = Db::new();
    db.execute(
        "CREATE TEMP TABLE numbers AS
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 50000)
            SELECT n, unhex(printf('0000%08x%018x02', n, 0)) AS id FROM n;
        INSERT INTO deliveries (id, app, notification, user, created_at) SELECT id, 1, id, 'u', 1 FROM numbers;
        INSERT INTO delivery_states (id, state, reason, due_at, attempts, finished_at)
            SELECT id, 3, iif(n % 20000 = 0 OR n = 1, 'rejected', 'abandoned'), 1, 1, n FROM numbers;
        INSERT INTO totals SELECT 1, 3, reason, count(*) FROM delivery_states GROUP BY reason",
    );
    db
}

#[test]
fn a_filter_that_finds_little_of_much_goes_on_in_bounded_pages() {
    let db = fifty_thousand();
    let rare = DeadFilter { reason: Some(Reason::Rejected), ..DeadFilter::all() };
    let (found, pages) = downwards(&db, &rare, 100);
    assert_eq!(found.len(), 3);
    assert_eq!(pages, 50_000 / (limits::LIST_SCAN_MAX / 2), "each looks at as much as it may");
    assert_eq!(upwards(&db, &rare, Bounds::of_page(100)).len(), 3);
    // What can be found along a narrower way is.
    let (found, pages) = downwards(&db, &DeadFilter { delivery: Some(delivery(1)), ..rare }, 100);
    assert_eq!((found.len(), pages), (0, 1));
}

#[test]
fn what_is_too_much_to_count_is_told_by_counters_or_not_at_all() {
    let db = fifty_thousand();
    let filter = DeadFilter::all().dead_by(Timestamp::from_ms(60_000));
    assert_eq!(count(&db.connection, APP, &filter).unwrap(), Some(50_000));
    assert_eq!(count(&db.connection, OTHER_APP, &filter).unwrap(), Some(0), "though it meets the others'");
    let rare = DeadFilter { reason: Some(Reason::Rejected), ..filter };
    assert_eq!(count(&db.connection, APP, &rare).unwrap(), None);
    let (db, dead) = mixed(40);
    let filter = DeadFilter::all().dead_by(Timestamp::from_ms(60_000));
    assert_eq!(count(&db.connection, APP, &filter).unwrap(), Some(dead.len() as u64));
}

#[test]
fn what_cannot_be_read_is_left_out_of_a_list_alone() {
    let (db, dead) = mixed(20);
    db.execute("UPDATE notifications SET message = '{' WHERE substr(hex(id), 11, 2) = '03'");
    db.execute("UPDATE deliveries SET user = char(10) WHERE substr(hex(id), 11, 2) = '04'");
    let listed = list_dead(&db.connection, APP, &DeadFilter::all(), None, 100).unwrap();
    assert_eq!((listed.items.len(), listed.next), (dead.len() - 2, None));
}

#[test]
fn jobs_read_back_as_they_were_asked_for() {
    let db = Db::new();
    let filter = DeadFilter {
        reason: Some(Reason::Unregistered),
        channel: Some(ChannelKind::Fcm),
        user: Some(UserId::new("ann").unwrap()),
        notification: Some(fan_out(1)),
        delivery: Some(delivery(2)),
        since: Some(Timestamp::from_ms(3)),
        until: Some(Timestamp::from_ms(4)),
    };
    let id = pabal_core::ids::RedriveId::new(Timestamp::from_ms(1), [0; 10]);
    let new = NewRedrive { id, app: APP, filter, rate_per_s: 7 };
    let made = put_redrive(&db.tx(5), &new, None).unwrap();
    assert_eq!((made.total, made.created_at, &made.filter), (None, Timestamp::from_ms(5), &new.filter));
    assert_eq!(redrive(&db.connection, APP, id).unwrap(), Some(made));
    db.execute("UPDATE redrives SET filter = '{\"user\":\"ann\",\"secret\":1}'");
    let error = redrive(&db.connection, APP, id).unwrap_err();
    assert_eq!(error.kind(), pabal_core::ErrorKind::Corrupt);
    assert!(!error.to_string().contains("secret") && !error.to_string().contains("ann"), "{error}");
}

#[test]
fn a_job_that_cannot_be_read_is_left_out_alone() {
    for damage in ["filter = '{'", "filter = CAST(x'FF' AS TEXT)", "rate_per_s = -1", "state = 9"] {
        let db = Db::new();
        let id = |n| pabal_core::ids::RedriveId::new(Timestamp::from_ms(n), [0; 10]);
        for n in 1..=3 {
            let new = NewRedrive { id: id(n), app: APP, filter: DeadFilter::all(), rate_per_s: 7 };
            put_redrive(&db.tx(5), &new, None).unwrap();
        }
        let damaged = format!("UPDATE redrives SET {damage} WHERE id = ?1");
        db.execute("PRAGMA ignore_check_constraints = ON");
        db.connection.execute(&damaged, [id(2).as_bytes()]).unwrap();
        let running: Vec<_> = running_redrives(&db.connection).unwrap().iter().map(|job| job.id).collect();
        assert_eq!(running, [id(1), id(3)], "{damage}");
        let (mut listed, mut before) = (Vec::new(), None);
        for _ in 0..3 {
            let page = list_redrives(&db.connection, APP, before, 1).unwrap();
            listed.extend(page.items.iter().map(|job| job.id));
            before = page.next;
        }
        assert_eq!((listed, before), (vec![id(3), id(1)], None), "it hides nothing behind it: {damage}");
    }
}
