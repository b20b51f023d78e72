//! What the harness reads of the server's database, past the server.
//!
//! After a kill the files are a crime scene: opening them would recover the log and change what the next start finds. So
//! a copy is opened, of the database and its write-ahead log, and thrown away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::NotificationId;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::judge::Row;
use super::people::People;

/// How long to wait for a lock of the running server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Deliveries under a lease whose record says nothing of its attempt: those that a kill may have cut off.
const LEASED: &str = "SELECT d.notification, d.user, d.device, d.target
    FROM queue q JOIN deliveries d ON d.id = q.id JOIN delivery_states s ON s.id = q.id
    WHERE q.place = 1 AND s.state <> 2";
const ROWS: &str = "SELECT d.notification, d.user, d.device, d.target, s.state, s.reason
    FROM deliveries d JOIN delivery_states s ON s.id = d.id";
const OPEN: &str = "SELECT (SELECT count(*) FROM delivery_states WHERE state < 2)
    + (SELECT count(*) FROM notification_states WHERE state < 2)";

/// A delivery by what both books know of it.
pub(crate) type Pair = (NotificationId, Arc<str>);

/// What the store knew when its server was killed.
#[derive(Debug)]
pub(crate) struct AtKill {
    /// Attempts under way.
    pub(crate) leased: Vec<Pair>,
    /// Deliveries and fan-outs that are open.
    pub(crate) open: u64,
}

impl AtKill {
    pub(crate) fn read(database: &Path, people: &People) -> Result<AtKill> {
        let copy = Copy::of(database)?;
        let mut leased = copy.connection.prepare(LEASED)?;
        let leased = leased.query_map([], Recipient::read)?;
        let pairs = leased.map(|recipient| Ok(recipient?.pair(people))).filter_map(Result::transpose);
        Ok(AtKill { leased: pairs.collect::<Result<_>>()?, open: count_open(&copy.connection)? })
    }
}

/// All deliveries, from the files of a server that has stopped.
pub(crate) fn rows(database: &Path, people: &People) -> Result<Vec<Row>> {
    let copy = Copy::of(database)?;
    let mut all = copy.connection.prepare(ROWS)?;
    let read = all.query_map([], |row| {
        let reason: Option<String> = row.get(5)?;
        Ok((Recipient::read(row)?, row.get::<_, u32>(4)?, reason))
    })?;
    let row = |(recipient, state, reason): (Recipient, u32, Option<String>)| {
        // The schema numbers the states in their order.
        let state = *DeliveryState::ALL.get(state as usize).context("a state that is none")?;
        let reason = reason.map(|reason| reason.parse::<Reason>()).transpose()?;
        let notification = recipient.notification;
        Ok(Row { notification, token: recipient.token(people), state, reason })
    };
    read.map(|read| row(read?)).collect()
}

/// Open deliveries and fan-outs, of a server that runs.
pub(crate) fn open_work(database: &Path) -> Result<u64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    count_open(&connection)
}

fn count_open(connection: &Connection) -> Result<u64> {
    let open: i64 = connection.query_row(OPEN, [], |row| row.get(0))?;
    Ok(u64::try_from(open)?)
}

/// Whom a row is for.
struct Recipient {
    notification: NotificationId,
    user: Option<String>,
    device: Option<String>,
    literal: Option<String>,
}

impl Recipient {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Recipient> {
        Ok(Recipient {
            notification: NotificationId::from_bytes(row.get(0)?),
            user: row.get(1)?,
            device: row.get(2)?,
            literal: row.get(3)?,
        })
    }

    fn pair(self, people: &People) -> Option<Pair> {
        Some((self.notification, self.token(people)?))
    }

    fn token(self, people: &People) -> Option<Arc<str>> {
        match self.literal {
            Some(literal) => Some(literal.into()),
            None => people.token_of(self.user?, self.device?),
        }
    }
}

/// A copy of a database that nobody writes to.
struct Copy {
    connection: Connection,
    _folder: TempDir,
}

impl Copy {
    fn of(database: &Path) -> Result<Copy> {
        let folder = tempfile::tempdir_in(database.parent().context("a database without a folder")?)?;
        let copy = folder.path().join("copy.db");
        std::fs::copy(database, &copy).context("the database can't be copied")?;
        let log = beside(database, "-wal");
        if log.is_file() {
            std::fs::copy(log, beside(&copy, "-wal")).context("the write-ahead log can't be copied")?;
        }
        Ok(Copy { connection: Connection::open(&copy)?, _folder: folder })
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
