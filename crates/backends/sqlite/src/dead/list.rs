//! Listing dead letters, newest first, each with what was said last.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, ItemId, NotificationId};
use pabal_core::seam::store::DeadLetter;
use pabal_core::seam::{DeadFilter, Listed};
use pabal_core::{ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension};

use super::Dead;
use crate::errors::from_sqlite;
use crate::history;
use crate::reads::at_one_moment;
use crate::rows::word;

const DEATH: &str =
    "SELECT reason, finished_at FROM notification_states WHERE id = ?1 AND state = 5 AND reason IS NOT NULL";

/// Dead letters of an app, newest first, below `before`, at most `max`. What can't be read is left out.
pub(crate) fn list_dead(
    connection: &Connection,
    app: AppId,
    filter: &DeadFilter,
    before: Option<ItemId>,
    max: usize,
) -> Result<Listed<DeadLetter, ItemId>> {
    at_one_moment(connection, "list_dead", || {
        let (found, next) = Dead { app, filter }.before(connection, before, max)?;
        let letter = |id| match read(connection, app, id) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(item = %id, %error, "a dead letter can't be read, and is left out of a list");
                Ok(None)
            }
            letter => letter,
        };
        let letters: Result<Vec<Option<DeadLetter>>> = found.into_iter().map(letter).collect();
        Ok(Listed { items: letters?.into_iter().flatten().collect(), next })
    })
}

fn read(connection: &Connection, app: AppId, id: ItemId) -> Result<Option<DeadLetter>> {
    match id {
        ItemId::Delivery(id) => {
            let Some(view) = history::delivery_view(connection, app, id)? else { return Ok(None) };
            let last_attempt = history::last_attempt(connection, id)?;
            Ok(Some(DeadLetter::Delivery { view, last_attempt }))
        }
        ItemId::FanOut(id) => fan_out(connection, app, id),
    }
}

fn fan_out(connection: &Connection, app: AppId, id: NotificationId) -> Result<Option<DeadLetter>> {
    let death = connection.prepare_cached(DEATH).and_then(|mut find| {
        find.query_row([id.as_bytes()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()
    });
    let Some((reason, died_at)) = death.map_err(|error| from_sqlite("list_dead", error))? else {
        return Ok(None);
    };
    let Some(view) = history::notification(connection, app, id)? else { return Ok(None) };
    Ok(Some(DeadLetter::FanOut { view, reason: word(&reason)?, died_at: Timestamp::from_ms(died_at) }))
}
