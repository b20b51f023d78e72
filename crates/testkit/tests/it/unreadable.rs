//! One row of a database file that can't be read, under both kinds of ledger over it.

use std::sync::Arc;

use pabal_core::chance::SeededChance;
use pabal_core::limits;
use pabal_core::seam::{Claim, Claimed, Ledger, Scan, Want, Worker};
use pabal_engine::Composite;
use pabal_memory::MemoryQueue;
use pabal_sqlite::{Sqlite, SqliteConfig};
use pabal_testkit::TestClock;
use pabal_testkit::fixtures::{VISIBILITY_MS, all_routes, notification_id, to_token};

const DAMAGED: u64 = 2;

async fn claim(ledger: &dyn Ledger) -> Claimed {
    let want = Want::Ordinary(all_routes().into_iter().map(|route| (route, limits::CLAIM_MAX)).collect());
    let claim = Claim { want, worker: Worker(1), visibility_ms: VISIBILITY_MS };
    ledger.claim(claim).await.expect("a claim")
}

/// Whatever there is to be put into the queue.
async fn reconcile(ledger: &dyn Ledger) {
    let mut scan = Scan::default();
    for _ in 0..9 {
        scan = ledger.reconcile(scan, 100).await.expect("a step").scan;
    }
}

async fn check(composite: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SqliteConfig::at(folder.path().join("pabal.db"));
    let clock = TestClock::new();
    let chance = Arc::new(SeededChance::from_seed(1));
    let open = || Sqlite::open(&config, Arc::new(clock.clone()), chance.clone()).expect("a database");

    let accepts = open();
    for n in 1..=3 {
        let acceptance = to_token(&format!("t{n}")).build(notification_id(n));
        accepts.ledger().accept(vec![acceptance], None).await.expect("an accept");
    }
    drop(accepts);
    let raw = rusqlite::Connection::open(&config.path).expect("a file");
    let of_damaged = "WHERE id = ?1";
    let read = format!("SELECT message FROM notifications {of_damaged}");
    let write = format!("UPDATE notifications SET message = ?2 {of_damaged}");
    let id = notification_id(DAMAGED);
    let message: String = raw.query_row(&read, [id.as_bytes()], |row| row.get(0)).expect("a message");
    raw.execute(&write, rusqlite::params![id.as_bytes(), &message[1..]]).expect("a damage");

    let sqlite = open();
    let ledger: Arc<dyn Ledger> = if composite {
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        Arc::new(Composite::new(queue, Arc::new(sqlite.store()), chance.clone()))
    } else {
        Arc::new(sqlite.ledger())
    };
    reconcile(&*ledger).await;
    let claimed = claim(&*ledger).await;
    assert_eq!((claimed.work.len(), claimed.unreadable, claimed.dropped), (2, 1, 0));
    assert_eq!(claimed.waiting.iter().map(|(_, in_ms)| *in_ms).max(), Some(limits::UNREADABLE_RETRY_MS));

    clock.advance(limits::UNREADABLE_RETRY_MS - 1);
    reconcile(&*ledger).await;
    let claimed = claim(&*ledger).await;
    assert_eq!((claimed.work.len(), claimed.unreadable), (2, 0), "those that were abandoned meanwhile");
    raw.execute(&write, rusqlite::params![id.as_bytes(), message]).expect("a repair");
    clock.advance(1);
    let claimed = claim(&*ledger).await;
    assert_eq!((claimed.work.len(), claimed.unreadable), (1, 0));
}

// ledger.md L54
#[tokio::test]
async fn what_cannot_be_read_stops_no_other() {
    check(false).await;
    check(true).await;
}
