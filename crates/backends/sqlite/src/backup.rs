//! A copy of a database that a server may be writing to meanwhile.
//!
//! The copy is one snapshot: a read transaction on a connection of its own is held while SQLite's backup API copies
//! page after page. In WAL mode that neither waits for the writer nor makes it wait, and the server's lock file, which
//! keeps a second *server* away, is left alone. What it costs the server: its log can't begin anew while the snapshot is
//! held, so it grows by what is written in that time. That time is one of plain copying, as everything else is done to
//! the copy afterwards; and the growth is bounded: beyond [`LOG_GROWTH_BYTES_MAX`] the copy is given up.
//!
//! What the database has freed may hold what was erased. So the copy is made twice: page by page, and from that one row by
//! row, which brings along nothing but what is there. For a while both lie beside the target.
//!
//! ```text
//!   TARGET.pages (0600) ── copied ──► one file, no log ── vacuumed into ──► TARGET.partial (0600)
//!          └─ removed                                                          │ checked, counted, on disk
//!   TARGET ◄── linked ─────────────────────────────────────────────────────────┘
//! ```
//!
//! Given up, or where anything fails, both are removed. The name is given to what is complete alone.

use std::ffi::c_int;
use std::fs::{File, OpenOptions, hard_link, remove_file, rename};
use std::io::ErrorKind as IoErrorKind;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pabal_core::{Error, ErrorKind, Result};
use rusqlite::backup::{Backup as Copying, StepResult};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use crate::errors::from_sqlite;
use crate::open::BUSY_WAIT_MAX;
use crate::schema;

/// Pages that are copied between two looks: 4 MiB.
const STEP_PAGES: c_int = 4096;
/// How many bytes the server's log may grow by while the snapshot is held.
pub const LOG_GROWTH_BYTES_MAX: u64 = 4 << 30;

/// A copy that was made and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// Its schema's number.
    pub schema: i32,
    /// Notifications in it.
    pub notifications: u64,
    /// Deliveries in it.
    pub deliveries: u64,
}

/// How far the copying is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Bytes copied.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Copies the database at `source` to `target`, which must not be there, and checks the copy. `look` sees how far it is,
/// and may end it: then there is no copy, and nothing is left of it.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict) where there is no database at `source` or something at `target`,
/// [`Corrupt`](ErrorKind::Corrupt) where the database is damaged or another program's,
/// [`SchemaTooNew`](ErrorKind::SchemaTooNew), [`Full`](ErrorKind::Full), [`Unavailable`](ErrorKind::Unavailable);
/// [`LimitReached`](ErrorKind::LimitReached) where the log grew too much. Nothing is left at `target` then.
pub fn back_up(
    source: &Path,
    target: &Path,
    look: &mut dyn FnMut(CopyProgress) -> ControlFlow<()>,
) -> Result<Option<Backup>> {
    back_up_within(source, target, look, LOG_GROWTH_BYTES_MAX)
}

fn back_up_within(
    source: &Path,
    target: &Path,
    look: &mut dyn FnMut(CopyProgress) -> ControlFlow<()>,
    log_growth_bytes_max: u64,
) -> Result<Option<Backup>> {
    if target.symlink_metadata().is_ok() {
        return Err(is_there(target));
    }
    let original = open_original(source)?;
    let log = Log::of(source, log_growth_bytes_max);
    let partial = Partial::make(target, ".partial")?;
    let pages = Partial::make(target, ".pages")?;
    let Some(copied) = copy(original, &pages.0, &log, look)? else { return Ok(None) };
    vacuum(copied, &partial.0)?;
    drop(pages);
    let backup = check(open_to_read(&partial.0)?, &partial.0)?;
    partial.keep(target)?;
    Ok(Some(backup))
}

/// The number of a database's schema; 0 where there is no file yet, or an empty one.
///
/// # Errors
/// As [`back_up`]'s, about the source.
pub fn schema_of(path: &Path) -> Result<i32> {
    if path.metadata().is_ok_and(|file| file.len() > 0) { schema::check(&open_to_read(path)?) } else { Ok(0) }
}

/// The database, with a read transaction begun.
fn open_original(path: &Path) -> Result<Connection> {
    if !path.is_file() {
        return Err(conflict(format!("there is no database at {}", path.display())));
    }
    let connection = open_to_read(path)?;
    connection.execute_batch("BEGIN").map_err(failed)?;
    // The first read takes the snapshot.
    if schema::check(&connection)? == 0 {
        return Err(conflict(format!("{} is empty: no server has used it yet", path.display())));
    }
    Ok(connection)
}

fn open_to_read(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_WAIT_MAX).map_err(failed)?;
    Ok(connection)
}

/// Copies the snapshot page by page, and lets go of it.
fn copy(
    original: Connection,
    to: &Path,
    log: &Log,
    look: &mut dyn FnMut(CopyProgress) -> ControlFlow<()>,
) -> Result<Option<Connection>> {
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // A copy that is cut off is removed, so nothing has to be rolled back; it is brought to disk at its end.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(failed)?;
    let page_bytes: u64 =
        original.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0)).map_err(failed)?.into();
    let copying = Copying::new(&original, &mut copy).map_err(failed)?;
    loop {
        let step = copying.step(STEP_PAGES).map_err(failed)?;
        let (total, left) = (copying.progress().pagecount, copying.progress().remaining);
        let bytes = |pages: c_int| u64::try_from(pages).unwrap_or_default() * page_bytes;
        if look(CopyProgress { bytes: bytes(total - left), bytes_total: bytes(total) }).is_break() {
            return Ok(None);
        }
        match step {
            StepResult::Done => break,
            StepResult::More => log.check()?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Locked,
                    "backup",
                    "another process holds the database file",
                ));
            }
        }
    }
    drop(copying);
    drop(original);
    // One file that needs no log beside it; the server that is started over it goes back to one.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    Ok(Some(copy))
}

/// Writes what is there into a file that is empty so far, and nothing of what is not there any more.
fn vacuum(copied: Connection, into: &Path) -> Result<()> {
    // As it is: a path need not be UTF-8.
    let into = ToSqlOutput::Borrowed(ValueRef::Text(into.as_os_str().as_bytes()));
    copied.execute("VACUUM INTO ?1", [into]).map_err(failed)?;
    copied.close().map_err(|(_, error)| failed(error))
}

/// Reads all of the copy.
fn check(copy: Connection, path: &Path) -> Result<Backup> {
    let found: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        let message = format!("the copy is damaged, and so most likely is the database: {found}");
        return Err(Error::new(ErrorKind::Corrupt, "backup", message));
    }
    let count = |table: &str| -> Result<u64> {
        let counted =
            copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        Ok(counted.map_err(failed)?.unsigned_abs())
    };
    let (notifications, deliveries) = (count("notifications")?, count("deliveries")?);
    let schema = schema::check(&copy)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    let bytes = path.metadata().map_err(|error| unavailable(path, error))?.len();
    Ok(Backup { bytes, schema, notifications, deliveries })
}

/// The server's log beside the database.
struct Log {
    path: PathBuf,
    bytes_max: u64,
    growth_max: u64,
}

impl Log {
    fn of(database: &Path, growth_max: u64) -> Self {
        let path = beside(database, "-wal");
        let bytes_max = bytes_of(&path) + growth_max;
        Self { path, bytes_max, growth_max }
    }

    fn check(&self) -> Result<()> {
        if bytes_of(&self.path) <= self.bytes_max {
            return Ok(());
        }
        let message = format!(
            "the server wrote more than {} MiB meanwhile, which its log must keep until the copy is made: copy to a \
             faster disk, or at a calmer time",
            self.growth_max >> 20
        );
        Err(Error::new(ErrorKind::LimitReached, "backup", message))
    }
}

fn bytes_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// A copy that is not complete yet; removed unless it is kept.
struct Partial(PathBuf);

impl Partial {
    fn make(target: &Path, ending: &str) -> Result<Self> {
        let path = beside(target, ending);
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => Err(conflict(format!(
                "{} is there already: another backup is under way, or one was cut off; then remove it",
                path.display()
            ))),
            Err(error) => Err(unavailable(&path, error)),
        }
    }

    /// Brings it to disk, and gives it its name unless something has got that meanwhile.
    fn keep(self, target: &Path) -> Result<()> {
        File::open(&self.0).and_then(|file| file.sync_all()).map_err(|error| unavailable(&self.0, error))?;
        match hard_link(&self.0, target) {
            Ok(()) => {}
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => return Err(is_there(target)),
            // Not every file system has links.
            Err(_) => self.rename(target)?,
        }
        drop(self);
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unavailable(target, error))
    }

    /// Takes the name, and puts the copy in its place. Cut off in between, it leaves an empty file under it.
    fn rename(&self, target: &Path) -> Result<()> {
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(target) {
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => return Err(is_there(target)),
            Err(error) => return Err(unavailable(target, error)),
            Ok(_) => {}
        }
        rename(&self.0, target).or_else(|error| {
            // Empty, it is no copy: a reader must not take it for one.
            remove_file(target).map_err(|error| unavailable(target, error))?;
            Err(unavailable(target, error))
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            match remove_file(beside(&self.0, ending)) {
                Err(error) if error.kind() != IoErrorKind::NotFound => {
                    tracing::warn!(%error, "what is left of a copy could not be removed");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn failed(error: rusqlite::Error) -> Error {
    from_sqlite("backup", error)
}

fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, "backup", message)
}

fn is_there(target: &Path) -> Error {
    conflict(format!("{} is there already, and is never written over: name another file", target.display()))
}

fn unavailable(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{} can't be written", path.display());
    Error::new(ErrorKind::Unavailable, "backup", message).with_source(error)
}

#[cfg(test)]
mod tests;
