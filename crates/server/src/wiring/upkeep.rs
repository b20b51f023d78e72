//! What is done to a store without a server: bringing it to the newest schema, and copying it, beside a running server
//! too.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use pabal_core::chance::{Chance, SeededChance};
use pabal_core::clock::{Clock, SystemClock};
use pabal_sqlite::{AnchoredClock, Sqlite, SqliteConfig};

use super::{StoreUrl, shown};
use crate::server::StartError;
use crate::shape::Misfit;

/// The schema of a store before and after it was migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// 0 for a store that was made just now.
    pub before: i32,
    /// The newest that this program knows.
    pub after: i32,
}

/// A copy of a store that was made and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size.
    pub bytes: u64,
    /// Its schema.
    pub schema: i32,
    /// Notifications in it.
    pub notifications: u64,
    /// Deliveries in it.
    pub deliveries: u64,
}

/// Opens the store that a URL names, which brings it to the newest schema, and closes it. Blocks.
///
/// # Errors
/// As at the start of a server: the store is in use, too new, damaged, or can't be there.
pub fn migrate(store: &str) -> Result<Migrated, StartError> {
    let StoreUrl::Sqlite(sqlite) = store_url(store)?;
    let of_backend = |source| unusable(store, source);
    let before = pabal_sqlite::schema_of(&sqlite.path).map_err(of_backend)?;
    open_and_close(&sqlite).map_err(of_backend)?;
    let after = pabal_sqlite::schema_of(&sqlite.path).map_err(of_backend)?;
    Ok(Migrated { before, after })
}

fn open_and_close(sqlite: &SqliteConfig) -> pabal_core::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(AnchoredClock::new(Arc::new(SystemClock)));
    let chance: Arc<dyn Chance> = Arc::new(SeededChance::from_os());
    Sqlite::open(sqlite, clock, chance).map(drop)
}

/// Copies the store that a URL names into a file, which must not be there. `look` is told how many bytes of how many are
/// copied and may end it; then there is no copy. Blocks.
///
/// # Errors
/// If there is no store, it can't be copied, or something is where the copy belongs.
pub fn back_up(
    store: &str,
    target: &Path,
    look: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<BackedUp>, StartError> {
    let StoreUrl::Sqlite(sqlite) = store_url(store)?;
    let mut look = |progress: pabal_sqlite::CopyProgress| look(progress.bytes, progress.bytes_total);
    let backup = pabal_sqlite::back_up(&sqlite.path, target, &mut look);
    let backup = backup.map_err(|source| unusable(store, source))?;
    Ok(backup.map(|backup| BackedUp {
        bytes: backup.bytes,
        schema: backup.schema,
        notifications: backup.notifications,
        deliveries: backup.deliveries,
    }))
}

fn store_url(store: &str) -> Result<StoreUrl, StartError> {
    let url: StoreUrl = store.parse().map_err(|problem: String| Misfit::value("store", problem))?;
    url.look()?;
    Ok(url)
}

fn unusable(store: &str, source: pabal_core::Error) -> StartError {
    StartError::Backend { what: format!("store '{}'", shown(store)), source }
}
