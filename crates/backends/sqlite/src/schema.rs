//! Versioned migrations. Each file of `schema/` is applied once, in order, in one transaction with its number. A newer
//! schema than this program knows is refused; from the second on, a database of every earlier one must open.

use pabal_core::clock::Timestamp;
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::errors::from_sqlite;

/// The migrations, by number, beginning with 1.
const MIGRATIONS: [&str; 2] =
    [include_str!("../schema/0001_first.sql"), include_str!("../schema/0002_service.sql")];

/// What marks a file as a database of ours: "paba" as a number.
const APPLICATION_ID: i32 = 0x7061_6261;

/// The schema that this program writes.
pub(crate) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Whether a database is one that this program may change; changes nothing. Answers its schema's number, 0 for a file
/// that is new.
pub(crate) fn check(connection: &Connection) -> Result<i32> {
    let found = version(connection)?;
    if found > VERSION {
        let message = format!(
            "the database has schema {found}, and this program knows schemas up to {VERSION}: start the newer pabal, \
             or restore a backup from before the upgrade"
        );
        return Err(Error::new(ErrorKind::SchemaTooNew, "migrate", message));
    }
    Ok(found)
}

/// Brings a database to [`VERSION`]. `random` makes the id of a store that is new.
pub(crate) fn migrate(connection: &Connection, now: Timestamp, random: [u8; 16]) -> Result<()> {
    for number in check(connection)? + 1..=VERSION {
        apply(connection, number).map_err(|error| from_sqlite("migrate", error))?;
        tracing::info!(schema = number, "migrated");
    }
    name(connection, now, random).map_err(|error| from_sqlite("migrate", error))
}

/// The schema's number; 0 for a file that is new. A file of another program is refused.
fn version(connection: &Connection) -> Result<i32> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = read("application_id").map_err(|error| from_sqlite("open", error))?;
    let version = read("user_version").map_err(|error| from_sqlite("open", error))?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 =
        connection.query_row(tables, [], |row| row.get(0)).map_err(|error| from_sqlite("open", error))?;
    if application == APPLICATION_ID || (application == 0 && version == 0 && tables == 0) {
        return Ok(version);
    }
    let message = "the file is a database of another program; name another file, or none that exists";
    Err(Error::new(ErrorKind::Corrupt, "open", message))
}

fn apply(connection: &Connection, number: i32) -> rusqlite::Result<()> {
    let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let migration = MIGRATIONS.get(index).copied().unwrap_or_default();
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;\n{migration}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
    ))
}

/// Gives a store that is new its id, and binds the queue in the same file to it.
fn name(connection: &Connection, now: Timestamp, random: [u8; 16]) -> rusqlite::Result<()> {
    let known = connection.query_row("SELECT 1 FROM store", [], |_| Ok(())).optional()?;
    if known.is_none() {
        let insert = "INSERT INTO store (one, id, created_at) VALUES (1, ?1, ?2)";
        connection.execute(insert, params![random, now.as_ms()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, Timestamp::from_ms(1), [7; 16]).unwrap();
        connection
    }

    #[test]
    fn a_second_start_changes_nothing() {
        let connection = migrated();
        migrate(&connection, Timestamp::from_ms(2), [8; 16]).unwrap();
        let id: [u8; 16] = connection.query_row("SELECT id FROM store", [], |row| row.get(0)).unwrap();
        assert_eq!(id, [7; 16]);
    }

    #[test]
    fn a_newer_schema_is_refused_and_both_are_named() {
        let connection = migrated();
        connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
        let error = migrate(&connection, Timestamp::from_ms(2), [8; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaTooNew);
        assert!(error.to_string().contains(&format!("schema {}", VERSION + 1)), "{error}");
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let error = migrate(&connection, Timestamp::from_ms(2), [8; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
