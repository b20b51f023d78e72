use pabal_core::message::Message;
use pabal_core::notification::{NotificationState, Recipients};
use pabal_core::route::{ChannelKind, Lane};
use pabal_core::seam::store::{DeliveryFilter, NotificationFilter};
use pabal_core::{ErrorKind, limits};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::*;
use crate::rows::{notification_state_code, state_code};
use crate::store::testing::Db;

const APP: AppId = AppId::DEFAULT;
const OTHER_APP: AppId = AppId(2);

fn notification_id() -> NotificationId {
    NotificationId::from_bytes([7; 16])
}

fn delivery_id(n: u8) -> DeliveryId {
    DeliveryId::from_bytes([n; 16])
}

fn message() -> Message {
    Message { title: Some("Prove your day".into()), ..Message::default() }
}

fn put_notification(db: &Db) {
    let recipients = Recipients::Users(vec!["u".parse().unwrap()]);
    let put = "INSERT INTO notifications VALUES (?1, 1, 'bulk', 5000, 90, ?2, ?3, ?4, 80)";
    let channels = serde_json::to_string(&[ChannelKind::Fcm]).unwrap();
    let recipients = serde_json::to_string(&recipients).unwrap();
    let message = serde_json::to_string(&message()).unwrap();
    db.connection.execute(put, params![notification_id().as_bytes(), channels, recipients, message]).unwrap();
    let put = "INSERT INTO notification_states (id, state, due_at, expires_at, delivered, dead)
        VALUES (?1, ?2, 90, 5090, 2, 1)";
    let state = notification_state_code(NotificationState::Expanded);
    db.connection.execute(put, params![notification_id().as_bytes(), state]).unwrap();
}

/// A delivery to a device, delivered at its first attempt.
fn put_delivered(db: &Db, id: DeliveryId) {
    db.execute("INSERT OR IGNORE INTO routes VALUES (1, 'bulk/fcm/my-project/ios')");
    let put = "INSERT INTO deliveries (id, app, notification, user, device, created_at)
        VALUES (?1, 1, ?2, 'u', 'd', 81)";
    db.connection.execute(put, params![id.as_bytes(), notification_id().as_bytes()]).unwrap();
    let put = "INSERT INTO delivery_states (id, state, route, due_at, attempts, finished_at,
            first_at, first_latency_ms, first_status, first_detail)
        VALUES (?1, ?2, 1, 90, 1, 120, 100, 19, 200, 'projects/x/messages/1')";
    let delivered = state_code(DeliveryState::Delivered);
    db.connection.execute(put, params![id.as_bytes(), delivered]).unwrap();
}

#[test]
fn a_notification_reads_back_as_it_was_given_with_its_counts() {
    let db = Db::new();
    put_notification(&db);
    let view = super::notification(&db.connection, APP, notification_id()).unwrap().unwrap();
    assert_eq!(view.notification.recipients, Recipients::Users(vec!["u".parse().unwrap()]));
    assert_eq!(*view.notification.message, message());
    assert_eq!(view.notification.lane, Lane::Bulk);
    assert_eq!(view.notification.channels, Some(vec![ChannelKind::Fcm]));
    assert_eq!((view.notification.ttl_ms, view.notification.send_at), (5000, Some(Timestamp::from_ms(90))));
    assert_eq!((view.created_at.as_ms(), view.expires_at.as_ms()), (80, 5090));
    assert_eq!(view.state, NotificationState::Expanded);
    assert_eq!(view.counts, [(DeliveryState::Delivered, 2), (DeliveryState::Dead, 1)]);
    assert_eq!(super::notification(&db.connection, OTHER_APP, notification_id()).unwrap(), None);
}

#[test]
fn a_delivery_that_arrived_at_once_has_a_whole_timeline() {
    let db = Db::new();
    put_delivered(&db, delivery_id(1));
    let (view, timeline) = delivery(&db.connection, APP, delivery_id(1)).unwrap().unwrap();
    assert_eq!((view.state, view.reason, view.attempts), (DeliveryState::Delivered, None, 1));
    assert_eq!((view.due_at, view.finished_at), (None, Some(Timestamp::from_ms(120))));
    assert_eq!(view.route.unwrap().to_string(), "bulk/fcm/my-project/ios");
    let first = AttemptView {
        number: 1,
        at: Timestamp::from_ms(100),
        outcome: OutcomeKind::Delivered,
        status: Some(200),
        code: None,
        detail: Some("projects/x/messages/1".into()),
        latency_ms: 19,
    };
    assert_eq!(timeline, [first]);
    assert_eq!(delivery(&db.connection, OTHER_APP, delivery_id(1)).unwrap(), None);
}

#[test]
fn attempts_are_listed_oldest_first() {
    let db = Db::new();
    put_delivered(&db, delivery_id(1));
    db.execute("UPDATE delivery_states SET attempts = 2, first_at = NULL");
    db.execute("INSERT INTO attempts SELECT id, 2, 110, 'delivered', 200, NULL, 'name', 3 FROM deliveries");
    db.execute(
        "INSERT INTO attempts SELECT id, 1, 100, 'throttled', 429, 'QUOTA_EXCEEDED', NULL, 4 FROM deliveries",
    );
    let (_, timeline) = delivery(&db.connection, APP, delivery_id(1)).unwrap().unwrap();
    let shown: Vec<_> = timeline.iter().map(|attempt| (attempt.number, attempt.outcome)).collect();
    assert_eq!(shown, [(1, OutcomeKind::Throttled), (2, OutcomeKind::Delivered)]);
    assert_eq!(timeline[0].code.as_deref(), Some("QUOTA_EXCEEDED"));
}

#[test]
fn every_kind_of_recipient_reads_back() {
    let db = Db::new();
    let put = "INSERT INTO deliveries (id, app, notification, user, target_kind, target, created_at)
        VALUES (?1, 1, ?1, ?2, ?3, ?4, 1)";
    let state = "INSERT INTO delivery_states (id, state, reason, due_at, finished_at)
        VALUES (?1, ?2, 'no_device', 1, 1)";
    let address = Target::FcmTopic("news".into());
    let wanted = [
        (delivery_id(1), Recipient::NoDevice { user: "u".parse().unwrap() }),
        (delivery_id(2), Recipient::Literal(address)),
    ];
    for (id, recipient) in wanted {
        let user = recipient.user().map(ToString::to_string);
        let literal = user.is_none().then_some((2, "news")).unzip();
        db.connection.execute(put, params![id.as_bytes(), user, literal.0, literal.1]).unwrap();
        let undeliverable = state_code(DeliveryState::Undeliverable);
        db.connection.execute(state, params![id.as_bytes(), undeliverable]).unwrap();
        let (view, timeline) = delivery(&db.connection, APP, id).unwrap().unwrap();
        assert_eq!((view.recipient, view.route, timeline), (Some(recipient), None, vec![]));
        assert_eq!(view.reason, Some(Reason::NoDevice));
    }
}

#[test]
fn deliveries_are_paged_by_id() {
    let db = Db::new();
    (1..=5).for_each(|n| put_delivered(&db, delivery_id(n)));
    let page = |app, after: Option<u8>, max| -> Vec<DeliveryId> {
        let after = after.map(delivery_id);
        let page = deliveries(&db.connection, app, notification_id(), after, max).unwrap();
        page.into_iter().map(|view| view.id).collect()
    };
    assert_eq!(page(APP, None, 2), [delivery_id(1), delivery_id(2)]);
    assert_eq!(page(APP, Some(2), 2), [delivery_id(3), delivery_id(4)]);
    assert_eq!(page(APP, Some(4), 2), [delivery_id(5)]);
    assert_eq!(page(OTHER_APP, None, 2), []);
    assert_eq!(page(APP, None, usize::MAX).len(), 5);
}

#[test]
fn totals_are_in_order_and_skip_what_is_empty() {
    let db = Db::new();
    db.execute("INSERT INTO totals VALUES (1, 3, 'abandoned', 2), (1, 3, 'rejected', 4), (1, 0, '', 0)");
    db.execute("INSERT INTO totals VALUES (1, 2, '', 9), (2, 2, '', 100)");
    let wanted = [
        (DeliveryState::Delivered, None, 9),
        (DeliveryState::Dead, Some(Reason::Rejected), 4),
        (DeliveryState::Dead, Some(Reason::Abandoned), 2),
    ];
    assert_eq!(totals(&db.connection, APP).unwrap(), wanted);
}

#[test]
fn what_cannot_be_read_is_corrupt_and_does_not_quote_it() {
    let db = Db::new();
    put_notification(&db);
    db.execute("UPDATE notifications SET message = '{\"secret\": 1}'");
    let error = super::notification(&db.connection, APP, notification_id()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// As when the writer settles an attempt between two statements of the reader: when the second is being prepared.
#[test]
fn a_timeline_and_its_state_are_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let connect = || Connection::open(folder.path().join("pabal.db")).unwrap();
    let db = Db::over(connect());
    db.connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    put_delivered(&db, delivery_id(1));
    db.execute("UPDATE delivery_states SET first_at = NULL, counted = 1");
    let attempt = |number| {
        format!(
            "INSERT INTO attempts SELECT id, {number}, 100, 'unknown', NULL, NULL, NULL, 4 FROM deliveries"
        )
    };
    db.execute(&attempt(1));

    let (mut reader, writer) = (connect(), connect());
    let settle = format!("BEGIN; UPDATE delivery_states SET attempts = 2; {}; COMMIT", attempt(2));
    let mut settles = Some(settle);
    let hook = move |asked: AuthContext<'_>| {
        if matches!(asked.action, AuthAction::Read { table_name: "attempts", .. })
            && let Some(settle) = settles.take()
        {
            writer.execute_batch(&settle).unwrap();
        }
        Authorization::Allow
    };
    reader.authorizer(Some(hook)).unwrap();

    for attempts in [1, 2] {
        let (view, timeline) = delivery(&reader, APP, delivery_id(1)).unwrap().unwrap();
        assert_eq!((view.attempts, timeline.len()), (attempts, attempts as usize));
        assert!(reader.is_autocommit(), "the next read sees what is new");
    }
}

const MANY: usize = 50_000;

fn nth(n: usize) -> DeliveryId {
    let mut bytes = [0; 16];
    bytes[2..6].copy_from_slice(&u32::try_from(n).unwrap().to_be_bytes());
    bytes[15] = 1;
    DeliveryId::from_bytes(bytes)
}

/// Many deliveries, of which few are dead, few are of user `ann`, and few of another app. Their ids say that they were
/// asked for a millisecond after each other.
fn many() -> Db {
    let db = Db::new();
    db.execute(&format!(
        "INSERT INTO routes VALUES (1, 'bulk/fcm/main/ios');
        CREATE TEMP TABLE numbers AS
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})
            SELECT n, unhex(printf('0000%08x%018x01', n, 0)) AS id FROM n;
        INSERT INTO notifications (id, app, lane, ttl_ms, recipients, message, created_at)
            SELECT id, iif(n % 10000 = 7, 2, 1), 'bulk', 1, '{{\"users\":[\"u\"]}}', '{{}}', n FROM numbers;
        INSERT INTO notification_states (id, state, due_at, expires_at) SELECT id, iif(n % 20000 = 3, 3, 2), 1, 1 FROM numbers;
        INSERT INTO deliveries (id, app, notification, user, created_at)
            SELECT id, iif(n % 10000 = 7, 2, 1), id, iif(n % 10000 = 5, 'ann', 'u'), n FROM numbers;
        INSERT INTO delivery_states (id, state, reason, route, due_at, attempts, finished_at)
            SELECT id, iif(n % 20000 = 3, 3, 2), iif(n % 20000 = 3, 'rejected', NULL), iif(n % 25000 = 4, NULL, 1), 1, 1, 1
            FROM numbers"
    ));
    db
}

fn pages(db: &Db, filter: &DeliveryFilter, max: usize) -> (Vec<DeliveryId>, usize) {
    let (mut all, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = list_deliveries(&db.connection, APP, filter, before, max).unwrap();
        assert!(page.items.len() <= max);
        all.extend(page.items.into_iter().map(|view| view.id));
        pages += 1;
        before = page.next;
        if before.is_none() {
            return (all, pages);
        }
    }
}

fn newest_first(wanted: impl Fn(usize) -> bool) -> Vec<DeliveryId> {
    (1..=MANY).rev().filter(|n| n % 10_000 != 7 && wanted(*n)).map(nth).collect()
}

#[test]
fn deliveries_are_listed_newest_first_in_bounded_pages() {
    let db = many();
    let all = DeliveryFilter::default;
    let scans = MANY / limits::LIST_SCAN_MAX;
    let (listed, count) = pages(&db, &all(), 1000);
    assert!(listed == newest_first(|_| true), "{} of them", listed.len());
    assert_eq!(count, 50);
    let of_ann = DeliveryFilter { user: Some("ann".parse().unwrap()), ..all() };
    assert_eq!(pages(&db, &of_ann, 2), (newest_first(|n| n % 10_000 == 5), 3));
    let dead = newest_first(|n| n % 20_000 == 3);
    assert_eq!(
        pages(&db, &DeliveryFilter { state: Some(DeliveryState::Dead), ..all() }, 9),
        (dead.clone(), 1)
    );
    assert_eq!(pages(&db, &DeliveryFilter { reason: Some(Reason::Rejected), ..all() }, 9), (dead, 1));
    let none = DeliveryFilter { state: Some(DeliveryState::Retrying), ..all() };
    assert_eq!(pages(&db, &none, 9), (vec![], scans));
    let channel = DeliveryFilter { channel: Some(ChannelKind::Fcm), ..all() };
    assert!(pages(&db, &channel, 1000).0 == newest_first(|n| n % 25_000 != 4));
    let (since, until) = (Some(Timestamp::from_ms(100)), Some(Timestamp::from_ms(200)));
    let within = DeliveryFilter { since, until, ..all() };
    assert_eq!(pages(&db, &within, 30), (newest_first(|n| (100..200).contains(&n)), 4));
    let of_one = NotificationId::from_bytes(*nth(9).as_bytes());
    let of_one = DeliveryFilter { notification: Some(of_one), ..all() };
    assert_eq!(pages(&db, &of_one, 9), (vec![nth(9)], 1));
    let of_one = DeliveryFilter { since, ..of_one };
    assert_eq!(pages(&db, &of_one, 9), (vec![], 1));
}

#[test]
fn notifications_are_listed_newest_first_in_bounded_pages() {
    let db = many();
    let page = |state, before, max| {
        let filter = NotificationFilter { state, ..NotificationFilter::default() };
        let page = list_notifications(&db.connection, APP, &filter, before, max).unwrap();
        let ids: Vec<_> = page.items.iter().map(|view| *view.notification.id.as_bytes()).collect();
        (ids, page.next)
    };
    let (newest, next) = page(None, None, 3);
    assert_eq!(newest, [MANY, MANY - 1, MANY - 2].map(|n| *nth(n).as_bytes()));
    assert_eq!(page(None, next, 1).0, [*nth(MANY - 3).as_bytes()]);
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let (ids, next) = page(Some(NotificationState::Cancelled), before, 9);
        found.extend(ids);
        (before, pages) = (next, pages + 1);
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, [40_003, 20_003, 3].map(|n| *nth(n).as_bytes()));
    assert_eq!(pages, MANY / limits::LIST_SCAN_MAX, "each looks at as much as it may");
}

#[test]
fn what_cannot_be_read_is_left_out_of_a_list_alone() {
    let db = Db::new();
    put_notification(&db);
    (1..=3).for_each(|n| put_delivered(&db, delivery_id(n)));
    db.connection
        .execute("UPDATE deliveries SET user = char(10) WHERE id = ?1", [delivery_id(2).as_bytes()])
        .unwrap();
    assert_eq!(pages(&db, &DeliveryFilter::default(), 1).0, [delivery_id(3), delivery_id(1)]);
    db.execute("UPDATE notifications SET message = '{'");
    let listed = list_notifications(&db.connection, APP, &NotificationFilter::default(), None, 9).unwrap();
    assert_eq!((listed.items.len(), listed.next), (0, None));
}
