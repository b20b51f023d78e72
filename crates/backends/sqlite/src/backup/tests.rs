//! Copies of a database that somebody writes to, and what may go wrong with them.

use std::os::unix::fs::PermissionsExt;

use pabal_core::clock::Timestamp;
use tempfile::TempDir;

use super::*;

/// A database in a folder, and the connection that writes to it as a server does.
struct World {
    folder: TempDir,
    writer: Connection,
    written: u64,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let writer = Connection::open(folder.path().join("pabal.db")).unwrap();
        writer.execute_batch("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL").unwrap();
        schema::migrate(&writer, Timestamp::from_ms(1), [7; 16]).unwrap();
        Self { folder, writer, written: 0 }
    }

    /// With so many notifications, all but few of them in the log only.
    fn with(notifications: u64) -> Self {
        let mut world = Self::new();
        world.write(notifications);
        world
    }

    fn write(&mut self, notifications: u64) {
        let transaction = self.writer.transaction().unwrap();
        for _ in 0..notifications {
            let (mut id, message) = ([0; 16], "x".repeat(1000));
            id[..8].copy_from_slice(&self.written.to_be_bytes());
            let sql = "INSERT INTO notifications (id, app, lane, ttl_ms, recipients, message, created_at)
                       VALUES (?1, 1, 'bulk', 1, '{}', ?2, 1)";
            transaction.execute(sql, (id, message)).unwrap();
            self.written += 1;
        }
        transaction.commit().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn copy(&self) -> Result<Option<Backup>> {
        back_up(&self.path("pabal.db"), &self.path("copy.db"), &mut |_| ControlFlow::Continue(()))
    }

    #[track_caller]
    fn check_refused(&self, kind: ErrorKind, part: &str) {
        let error = self.copy().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }

    /// What is in the folder beside the database and its log.
    fn others(&self) -> Vec<String> {
        let names = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        names.filter(|name| !name.starts_with("pabal.db")).collect()
    }
}

#[test]
fn a_copy_is_one_file_for_its_owner_alone() {
    let world = World::with(50);
    let backup = world.copy().unwrap().unwrap();
    let copy = world.path("copy.db");
    let metadata = copy.metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!((backup.bytes, backup.schema), (metadata.len(), schema::VERSION));
    assert_eq!((backup.notifications, backup.deliveries), (50, 0));
    assert_eq!(world.others(), ["copy.db"]);
    let mode: String =
        Connection::open(&copy).unwrap().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn it_holds_what_was_there_when_it_began_and_the_writer_goes_on() {
    let mut world = World::with(20_000);
    let (source, target) = (world.path("pabal.db"), world.path("copy.db"));
    let mut looks = Vec::new();
    let backup = back_up(&source, &target, &mut |progress| {
        looks.push(progress);
        world.write(10);
        ControlFlow::Continue(())
    });
    assert_eq!(backup.unwrap().unwrap().notifications, 20_000);
    assert!(looks.len() > 2 && looks.is_sorted_by_key(|progress| progress.bytes), "{looks:?}");
    let last = looks.last().unwrap();
    assert_eq!(last.bytes, last.bytes_total);
    assert_eq!(world.written, 20_000 + 10 * looks.len() as u64);
}

#[test]
fn the_log_begins_anew_once_the_copy_is_made() {
    let mut world = World::with(20_000);
    let checkpoint = |world: &World| -> (i64, i64, i64) {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        world.writer.query_row("PRAGMA wal_checkpoint(RESTART)", [], read).unwrap()
    };
    world.writer.busy_timeout(std::time::Duration::ZERO).unwrap();
    let (source, target) = (world.path("pabal.db"), world.path("copy.db"));
    let mut held = 0;
    back_up(&source, &target, &mut |_| {
        world.write(1);
        held += checkpoint(&world).0;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(held > 0, "the snapshot is held while it is copied");
    assert_eq!(checkpoint(&world).0, 0, "and let go of afterwards");
}

#[test]
fn a_log_that_grows_too_much_ends_it() {
    let mut world = World::with(20_000);
    world.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let (source, target) = (world.path("pabal.db"), world.path("copy.db"));
    let mut look = |_| {
        world.write(2000);
        ControlFlow::Continue(())
    };
    let error = back_up_within(&source, &target, &mut look, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.to_string().contains("wrote more than 1 MiB meanwhile"), "{error}");
    assert_eq!(world.others(), [""; 0]);
}

#[test]
fn what_was_freed_is_not_in_a_copy() {
    let world = World::with(50);
    world.writer.execute_batch("DELETE FROM notifications").unwrap();
    let backup = world.copy().unwrap().unwrap();
    assert_eq!(backup.notifications, 0);
    let has_messages = |name: &str| {
        let bytes = std::fs::read(world.path(name)).unwrap();
        bytes.windows(200).any(|window| window == [b'x'; 200])
    };
    assert!(has_messages("pabal.db-wal") && !has_messages("copy.db"));
}

/// With links and without them.
#[test]
fn a_copy_gets_its_name_whole() {
    let world = World::with(1);
    let target = world.path("copy.db");
    for keep in [Partial::keep, |partial: Partial, target: &Path| partial.rename(target)] {
        let partial = Partial::make(&target, ".partial").unwrap();
        std::fs::write(&partial.0, "whole").unwrap();
        keep(partial, &target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(world.others(), ["copy.db"]);
        let partial = Partial::make(&target, ".partial").unwrap();
        assert_eq!(keep(partial, &target).unwrap_err().kind(), ErrorKind::Conflict);
        std::fs::remove_file(&target).unwrap();
    }
}

#[test]
fn a_name_need_not_be_utf_8() {
    let world = World::with(3);
    let target = world.folder.path().join(std::ffi::OsStr::from_bytes(b"copy-\xFF.db"));
    let copied = back_up(&world.path("pabal.db"), &target, &mut |_| ControlFlow::Continue(()));
    assert_eq!(copied.unwrap().unwrap().notifications, 3);
    assert!(target.is_file());
}

#[test]
fn it_can_be_ended_and_leaves_nothing() {
    let world = World::with(50);
    let mut look = |_| ControlFlow::Break(());
    let ended = back_up(&world.path("pabal.db"), &world.path("copy.db"), &mut look);
    assert_eq!(ended.unwrap(), None);
    assert_eq!(world.others(), [""; 0]);
}

#[test]
fn what_is_there_is_never_written_over() {
    let world = World::with(1);
    std::fs::write(world.path("copy.db"), "mine").unwrap();
    world.check_refused(ErrorKind::Conflict, "copy.db is there already, and is never written over");
    assert_eq!(std::fs::read(world.path("copy.db")).unwrap(), b"mine");
    std::fs::remove_file(world.path("copy.db")).unwrap();
    std::os::unix::fs::symlink(world.path("nowhere"), world.path("copy.db")).unwrap();
    world.check_refused(ErrorKind::Conflict, "is there already");
    std::fs::remove_file(world.path("copy.db")).unwrap();
    std::fs::write(world.path("copy.db.partial"), "theirs").unwrap();
    world.check_refused(ErrorKind::Conflict, "another backup is under way");
    assert_eq!(std::fs::read(world.path("copy.db.partial")).unwrap(), b"theirs");
}

#[test]
fn a_name_that_is_taken_meanwhile_is_left_to_its_owner() {
    let world = World::with(50);
    let target = world.path("copy.db");
    let error = back_up(&world.path("pabal.db"), &target, &mut |_| {
        std::fs::write(&target, "theirs").unwrap();
        ControlFlow::Continue(())
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
    assert_eq!(world.others(), ["copy.db"]);
}

#[test]
fn what_cannot_be_copied_is_named_and_left_alone() {
    let world = World::with(50);
    let refused = |source: &str| {
        let copied = back_up(&world.path(source), &world.path("copy.db"), &mut |_| ControlFlow::Continue(()));
        copied.unwrap_err()
    };
    let none = refused("none.db");
    assert!(none.kind() == ErrorKind::Conflict && none.to_string().contains("no database at"), "{none}");
    std::fs::write(world.path("empty.db"), "").unwrap();
    assert!(refused("empty.db").to_string().contains("is empty"));
    std::fs::write(world.path("text.db"), "no database at all".repeat(100)).unwrap();
    assert_eq!(refused("text.db").kind(), ErrorKind::Corrupt);
    Connection::open(world.path("theirs.db")).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(refused("theirs.db").to_string().contains("another program"));
    world.writer.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    assert_eq!(refused("pabal.db").kind(), ErrorKind::SchemaTooNew);
    assert!(!world.path("none.db").exists());
    assert!(!world.path("copy.db").exists() && !world.path("copy.db.partial").exists());
    let nowhere =
        back_up(&world.path("pabal.db"), &world.path("no/copy.db"), &mut |_| ControlFlow::Continue(()));
    assert!(nowhere.is_err());
}

#[test]
fn a_damaged_database_makes_no_copy() {
    let world = World::with(500);
    world.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = std::fs::read(world.path("pabal.db")).unwrap();
    let middle = bytes.len() / 2 / 1024 * 1024;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(world.path("pabal.db"), bytes).unwrap();
    world.check_refused(ErrorKind::Corrupt, "damaged");
    assert_eq!(world.others(), [""; 0]);
}

#[test]
fn what_a_killed_server_left_in_its_log_is_copied_too() {
    let world = World::with(50);
    let killed = World::new();
    for file in ["pabal.db", "pabal.db-wal"] {
        std::fs::copy(world.path(file), killed.path(&format!("left-{file}"))).unwrap();
    }
    let copied =
        back_up(&killed.path("left-pabal.db"), &killed.path("copy.db"), &mut |_| ControlFlow::Continue(()));
    assert_eq!(copied.unwrap().unwrap().notifications, 50);
}

#[test]
fn a_schema_is_read_without_making_anything() {
    let world = World::new();
    assert_eq!(schema_of(&world.path("pabal.db")).unwrap(), schema::VERSION);
    assert_eq!(schema_of(&world.path("none.db")).unwrap(), 0);
    assert!(!world.path("none.db").exists());
}
