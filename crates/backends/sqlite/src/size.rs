//! How big a database is, and how much room its disk has left.

use std::path::Path;

use pabal_core::Result;
use pabal_core::seam::store::StoreSize;
use rusqlite::Connection;

use crate::errors::from_sqlite;
use crate::rows::unsigned;

/// What is in use of a file, and what is free on its disk. What the log beside it holds will be in it after the next
/// checkpoint, and its size is bounded.
pub(crate) fn size(connection: &Connection, file: Option<&Path>) -> Result<StoreSize> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map(unsigned);
    let pages = || Ok((read("page_count")?, read("freelist_count")?, read("page_size")?));
    let (all, free, bytes) = pages().map_err(|error| from_sqlite("size", error))?;
    Ok(StoreSize {
        used_bytes: all.saturating_sub(free).saturating_mul(bytes),
        disk_free_bytes: file.and_then(disk_free_bytes),
    })
}

fn disk_free_bytes(file: &Path) -> Option<u64> {
    match rustix::fs::statvfs(file) {
        Ok(disk) => Some(disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => {
            tracing::warn!(%error, "how much room the disk has can't be told");
            None
        }
    }
}
