//! What is opened, and what is refused: untouched, and with a sentence that says what to do.

use pabal_core::ErrorKind;
use pabal_core::seam::Keys;

use crate::world::World;

#[tokio::test]
async fn a_file_has_one_process_at_a_time() {
    let world = World::new();
    let first = world.open();
    let refused = world.refusal();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Locked, true));
    for word in ["stop the other one", "another file", "pabal.db"] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    // A handle alone keeps it.
    let store = first.store();
    drop(first);
    assert_eq!(world.refusal().kind(), ErrorKind::Locked);
    assert_eq!(store.keys().await.unwrap(), 0);
    drop(store);
    drop(world.open());
}

#[test]
fn what_is_no_database_is_refused() {
    let world = World::new();
    std::fs::write(world.path(), "Dear diary, today I was not a database.\n".repeat(200)).unwrap();
    let before = std::fs::read(world.path()).unwrap();
    let refused = world.refusal();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.to_string().contains("pabal.db"), "{refused}");
    assert_eq!(std::fs::read(world.path()).unwrap(), before);
}

#[test]
fn a_damaged_database_is_refused() {
    let world = World::new();
    drop(world.open());
    world.raw().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = std::fs::read(world.path()).unwrap();
    bytes[1024..].fill(0xA5);
    std::fs::write(world.path(), bytes).unwrap();
    let refused = world.refusal();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Corrupt, false), "{refused}");
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    let world = World::new();
    world.raw().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let before = std::fs::read(world.path()).unwrap();
    let refused = world.refusal();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.to_string().contains("another program"), "{refused}");
    assert!(std::fs::read(world.path()).unwrap() == before, "the file was changed");
}

#[test]
fn a_newer_schema_is_refused_and_both_are_named() {
    let world = World::new();
    drop(world.open());
    let raw = world.raw();
    let known: i32 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    raw.pragma_update(None, "user_version", known + 1).unwrap();
    drop(raw);
    let refused = world.refusal();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::SchemaTooNew, false));
    for part in [format!("schema {}", known + 1), format!("up to {known}")] {
        assert!(refused.to_string().contains(&part), "{refused}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let world = World::new();
    let path = world.path().join("not/there.db");
    let config = pabal_sqlite::SqliteConfig::at(&path);
    let refused = world.try_open(&config).err().unwrap();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Conflict, false));
    assert!(refused.to_string().contains("there.db"), "{refused}");
    assert!(refused.to_string().contains("does not exist; create it"), "{refused}");
}

#[test]
fn only_its_owner_may_read_what_is_about_people() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    let sqlite = world.open();
    for beside in ["", "-wal", "-shm"] {
        let file = format!("{}{beside}", world.path().display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(sqlite);
}
