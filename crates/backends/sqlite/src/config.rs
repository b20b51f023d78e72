//! Where the database lies.

use std::path::PathBuf;

/// A database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteConfig {
    /// The file; made if it is not there. Beside it lie `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// Connections for reading.
    pub readers: usize,
    /// The most pages of 1 KiB that the file may have; `None` for what SQLite allows.
    pub pages_max: Option<u32>,
}

impl SqliteConfig {
    /// The file at `path`, with the defaults.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), readers: 2, pages_max: None }
    }
}
