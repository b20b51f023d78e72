//! Jobs that redrive dead letters: what was asked for, and how far it has come. The reopening itself is the ledger's.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId, RedriveId};
use pabal_core::seam::store::{NewRedrive, RedriveJob, RedriveState};
use pabal_core::seam::{DeadFilter, Listed};
use pabal_core::{Error, ErrorKind, Result, limits};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::Dead;
use crate::errors::{corrupt, from_sqlite};
use crate::rows::{signed, unsigned};
use crate::tx::Tx;
use crate::walk::{Bounds, Ids};

/// `SELECT` of the columns that [`Stored`] is read from.
macro_rules! select_redrives {
    ($rest:literal) => {
        concat!(
            "SELECT id, app, filter, rate_per_s, state, after_kind, after_id, total, reopened, created_at, finished_at
            FROM redrives ",
            $rest
        )
    };
}

const ONE: &str = select_redrives!("WHERE id = ?1 AND app = ?2");
pub(crate) const OF_APP: &str =
    select_redrives!("INDEXED BY redrives_of_app WHERE app = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
pub(crate) const RUNNING: &str = select_redrives!("INDEXED BY redrives_running WHERE state = 0");
pub(crate) const RUNNING_OF_APP: &str =
    "SELECT count(*) FROM redrives INDEXED BY redrives_running WHERE app = ?1 AND state = 0";

const PUT: &str = "
    INSERT INTO redrives (id, app, filter, user, rate_per_s, state, total, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)";
const COUNT: &str = "UPDATE redrives SET reopened = reopened + ?2 WHERE id = ?1 AND state <> 1";
const ADVANCE: &str = "UPDATE redrives SET after_kind = ?2, after_id = ?3 WHERE id = ?1 AND state = 0";
const FINISH: &str = "UPDATE redrives SET state = ?2, finished_at = ?3 WHERE id = ?1 AND state = 0";
const DEAD_IN_TOTALS: &str = "SELECT coalesce(sum(count), 0) FROM totals WHERE app = ?1 AND state = 3";

/// What there is to do for a job, as far as one step's worth of rows shows it. Of everything that is dead there are
/// counters, though of deliveries alone: a store has many of these, and hardly a dead fan-out.
pub(crate) fn count(connection: &Connection, app: AppId, filter: &DeadFilter) -> Result<Option<u64>> {
    let walked = Dead { app, filter }.after(connection, None, Bounds::of_page(usize::MAX))?;
    if walked.next.is_none() {
        return Ok(Some(walked.found.len() as u64));
    }
    if (DeadFilter { until: None, ..filter.clone() }) != DeadFilter::default() {
        return Ok(None);
    }
    let total = connection
        .prepare_cached(DEAD_IN_TOTALS)
        .and_then(|mut total| total.query_row([app.0], |row| row.get(0)))
        .map_err(|error| from_sqlite("put_redrive", error))?;
    Ok(Some(unsigned(total)))
}

/// Keeps a new job, which had `total` to do when it was asked for.
pub(crate) fn put_redrive(tx: &Tx<'_>, new: &NewRedrive, total: Option<u64>) -> Result<RedriveJob> {
    let running = tx.first("put_redrive", RUNNING_OF_APP, [new.app.0], |row| row.get(0))?.map_or(0, unsigned);
    if running >= limits::REDRIVES_RUNNING_MAX as u64 {
        let message = format!("an app has at most {} redrives running", limits::REDRIVES_RUNNING_MAX);
        return Err(Error::new(ErrorKind::LimitReached, "put_redrive", message));
    }
    let filter = serde_json::to_string(&new.filter).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "put_redrive", "a filter can't be written as JSON")
            .with_source(error)
    })?;
    let user = new.filter.user.as_ref().map(|user| user.as_str());
    let values = params![
        new.id.as_bytes(),
        new.app.0,
        filter,
        user,
        new.rate_per_s,
        total.map(signed),
        tx.now.as_ms()
    ];
    tx.run("put_redrive", PUT, values)?;
    Ok(RedriveJob {
        id: new.id,
        app: new.app,
        filter: new.filter.clone(),
        rate_per_s: new.rate_per_s,
        state: RedriveState::Running,
        after: None,
        total,
        reopened: 0,
        created_at: tx.now,
        finished_at: None,
    })
}

/// One job of an app.
pub(crate) fn redrive(connection: &Connection, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
    let found = connection
        .prepare_cached(ONE)
        .and_then(|mut find| find.query_row(params![id.as_bytes(), app.0], Stored::read).optional());
    found.map_err(|error| from_sqlite("redrive", error))?.map(Stored::job).transpose()
}

/// Jobs of an app, newest first, below the id `before`, at most `max`. What can't be read is left out.
pub(crate) fn list_redrives(
    connection: &Connection,
    app: AppId,
    before: Option<RedriveId>,
    max: usize,
) -> Result<Listed<RedriveJob, RedriveId>> {
    let below = Ids::made(None, None).before(before.as_ref().map(RedriveId::as_bytes)).below;
    // One more, to know whether the list goes on.
    let values = params![app.0, below, signed(max as u64).saturating_add(1)];
    let mut jobs = jobs(connection, "list_redrives", OF_APP, values)?;
    let goes_on = jobs.len() > max;
    jobs.truncate(max);
    let next = jobs.last().map(|(id, _)| *id).filter(|_| goes_on);
    Ok(Listed { items: readable(jobs), next })
}

/// All jobs that run, oldest first: a few of each app. What can't be read is left out.
pub(crate) fn running_redrives(connection: &Connection) -> Result<Vec<RedriveJob>> {
    let mut running = readable(jobs(connection, "running_redrives", RUNNING, [])?);
    running.sort_unstable_by_key(|job| job.id);
    Ok(running)
}

/// Writes how far a running job has come. Answers whether it still runs.
pub(crate) fn advance_redrive(
    tx: &Tx<'_>,
    id: RedriveId,
    reopened: u64,
    next: Option<ItemId>,
) -> Result<bool> {
    tx.run("advance_redrive", COUNT, params![id.as_bytes(), signed(reopened)])?;
    match next {
        None => finish(tx, id, RedriveState::Done).map(|_| false),
        Some(next) => {
            let is_fan_out = matches!(next, ItemId::FanOut(_));
            let values = params![id.as_bytes(), is_fan_out, next.as_bytes()];
            Ok(tx.run("advance_redrive", ADVANCE, values)? > 0)
        }
    }
}

/// Stops a job that runs.
pub(crate) fn stop_redrive(tx: &Tx<'_>, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
    if redrive(tx.connection, app, id)?.is_none() {
        return Ok(None);
    }
    finish(tx, id, RedriveState::Stopped)?;
    redrive(tx.connection, app, id)
}

fn finish(tx: &Tx<'_>, id: RedriveId, state: RedriveState) -> Result<()> {
    tx.run("redrive", FINISH, params![id.as_bytes(), code(state), tx.now.as_ms()]).map(drop)
}

/// The jobs that a statement finds, each with its id, which is always readable, and `None` where the rest can't be read.
fn jobs(
    connection: &Connection,
    operation: &'static str,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<(RedriveId, Option<RedriveJob>)>> {
    let find = || -> rusqlite::Result<Vec<_>> {
        let mut statement = connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((RedriveId::from_bytes(row.get(0)?), Stored::read(row)));
        statement.query_map(parameters, read)?.collect()
    };
    let found = find().map_err(|error| from_sqlite(operation, error))?;
    let job = |(id, stored): (RedriveId, rusqlite::Result<Stored>)| match stored
        .map_err(|error| from_sqlite(operation, error))
        .and_then(Stored::job)
    {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(redrive = %id, %error, "a redrive can't be read, and is left out of a list");
            Ok((id, None))
        }
        job => Ok((id, Some(job?))),
    };
    found.into_iter().map(job).collect()
}

fn readable(jobs: Vec<(RedriveId, Option<RedriveJob>)>) -> Vec<RedriveJob> {
    jobs.into_iter().filter_map(|(_, job)| job).collect()
}

const fn code(state: RedriveState) -> i64 {
    match state {
        RedriveState::Running => 0,
        RedriveState::Done => 1,
        RedriveState::Stopped => 2,
    }
}

/// The columns of a job, not yet checked.
struct Stored {
    id: [u8; 16],
    app: u32,
    filter: String,
    rate_per_s: u32,
    state: i64,
    after: Option<(bool, [u8; 16])>,
    total: Option<i64>,
    reopened: i64,
    created_at: i64,
    finished_at: Option<i64>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            app: row.get(1)?,
            filter: row.get(2)?,
            rate_per_s: row.get(3)?,
            state: row.get(4)?,
            after: row.get::<_, Option<bool>>(5)?.zip(row.get(6)?),
            total: row.get(7)?,
            reopened: row.get(8)?,
            created_at: row.get(9)?,
            finished_at: row.get(10)?,
        })
    }

    fn job(self) -> Result<RedriveJob> {
        let states = [RedriveState::Running, RedriveState::Done, RedriveState::Stopped];
        let state = states.into_iter().find(|state| code(*state) == self.state);
        // What is in it stays out of the error: it may name a person.
        let filter = serde_json::from_str(&self.filter)
            .map_err(|error| corrupt("redrive", format!("filter: {:?} error in its JSON", error.classify())));
        let after = |(is_fan_out, id)| match is_fan_out {
            true => ItemId::FanOut(NotificationId::from_bytes(id)),
            false => ItemId::Delivery(DeliveryId::from_bytes(id)),
        };
        Ok(RedriveJob {
            id: RedriveId::from_bytes(self.id),
            app: AppId(self.app),
            filter: filter?,
            rate_per_s: self.rate_per_s,
            state: state.ok_or_else(|| corrupt("redrive", format!("redrive state {}", self.state)))?,
            after: self.after.map(after),
            total: self.total.map(unsigned),
            reopened: unsigned(self.reopened),
            created_at: Timestamp::from_ms(self.created_at),
            finished_at: self.finished_at.map(Timestamp::from_ms),
        })
    }
}
