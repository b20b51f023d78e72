//! What the bytes of the database still hold of who was erased: nothing in its log and in a copy, and in the file itself
//! next to nothing.

use std::ops::ControlFlow;
use std::path::Path;

use pabal_core::seam::{Directory, Erasure, Ledger};
use pabal_sqlite::{Sqlite, back_up};
use pabal_testkit::fixtures::{
    APP, Draft, android, delivered, device, notification_id, rejected, to_device, to_users, user,
};

use crate::world::{World, claim};

/// What is in all that must be forgotten, and in nothing else.
const MARK: &[u8] = b"erased-";
/// Where SQLite moves rows from one page to another, it may leave their bytes in the first one's unused middle until that
/// fills again, or the file is compacted; what is deleted later in their new place it does not look for there. So few of
/// so many names may be left in the file.
const LEFT_PER_MILLE_MAX: usize = 5;
/// The others', so that the person's rows lie in pages of theirs.
const OTHERS: u64 = 300;

/// How often a text is in a file.
fn count(path: &Path, text: &[u8]) -> usize {
    std::fs::read(path).unwrap().windows(text.len()).filter(|window| *window == text).count()
}

fn log(world: &World) -> std::path::PathBuf {
    world.path().with_extension("db-wal")
}

fn copy(world: &World, name: &str) -> usize {
    let target = world.path().with_file_name(name);
    back_up(&world.path(), &target, &mut |_| ControlFlow::Continue(())).unwrap().unwrap();
    count(&target, MARK)
}

fn titled(draft: Draft, title: &str) -> Draft {
    draft.titled(&format!("{title} {}", "long ".repeat(100)))
}

/// Deliveries of one person among those of others: delivered, dead, open, scheduled.
async fn busy(sqlite: &Sqlite, rounds: u64) {
    let (store, ledger) = (sqlite.store(), sqlite.ledger());
    for n in 0..OTHERS {
        let name = format!("other-{n}");
        store.put_device(APP, &user(&name), &device("phone"), &android(&name)).await.unwrap();
    }
    store.put_device(APP, &user("erased-user"), &device("phone"), &android("erased-token")).await.unwrap();
    for round in 0..rounds {
        let mut batch = Vec::new();
        for n in 0..OTHERS {
            let id = notification_id(1000 * (round + 1) + 3 * n);
            let other = format!("other-{n}");
            batch.push(match n % 3 {
                0 => titled(to_users(&["erased-user"]), "erased-title").build(id),
                1 => titled(to_users(&[&other, "erased-user"]), "theirs").build(id),
                _ => titled(to_device("erased-user", "phone"), "erased-title").build(id),
            });
            let id = notification_id(1000 * (round + 1) + 3 * n + 1);
            batch.push(titled(to_users(&[&other]), "theirs").build(id));
        }
        ledger.accept(batch, None).await.unwrap();
        let settled = claim(&ledger, 1).await;
        let settle = |(n, work)| if n % 2 == 0 { delivered(work) } else { rejected(work) };
        ledger.settle(settled.iter().enumerate().take(800).map(settle).collect()).await.unwrap();
    }
}

async fn erase(sqlite: &Sqlite) {
    let (store, mut after) = (sqlite.store(), None);
    loop {
        after = store.erase_user(APP, &user("erased-user"), after).await.unwrap().next;
        if after.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn who_is_erased_is_overwritten() {
    let world = World::new();
    let sqlite = world.open();
    busy(&sqlite, 3).await;
    assert_ne!(count(&log(&world), MARK), 0);
    assert_ne!(copy(&world, "before.db"), 0);
    // Half of it is in the file, half in the log.
    world.raw().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    let in_file = count(&world.path(), MARK);
    assert!(in_file > 500, "{in_file}");
    erase(&sqlite).await;
    assert_eq!(count(&log(&world), MARK), 0, "in the log");
    for whole in [b"erased-token".as_slice(), b"erased-title"] {
        assert_eq!(count(&world.path(), whole), 0, "in the file");
    }
    let left = count(&world.path(), MARK);
    assert!(left * 1000 <= in_file * LEFT_PER_MILLE_MAX, "{left} of {in_file} in the file");
    assert_eq!(copy(&world, "after.db"), 0, "in a copy");
}

/// Whoever reads an old state keeps the log: it is emptied after a later commit, and nobody waits long for it.
#[tokio::test]
async fn a_log_that_is_read_is_emptied_later() {
    let world = World::new();
    let sqlite = world.open();
    busy(&sqlite, 1).await;
    let reader = world.raw();
    reader.execute_batch("BEGIN; SELECT count(*) FROM notifications").unwrap();
    erase(&sqlite).await;
    assert_ne!(count(&log(&world), MARK), 0);
    reader.execute_batch("COMMIT").unwrap();
    let ledger = sqlite.ledger();
    let commit = async |n| {
        ledger.accept(vec![to_users(&["other-1"]).build(notification_id(n))], None).await.unwrap();
    };
    commit(1).await;
    assert_ne!(count(&log(&world), MARK), 0, "not at every commit");
    world.clock.advance(10_000);
    commit(2).await;
    assert_eq!(count(&log(&world), MARK), 0);
}
