//! What can be seen of the store's file and of the port without making, opening or holding anything.
//!
//! What is *wrong* keeps a server from starting and is a problem for `config check` too. What is *taken* may be so only
//! because the server runs already: `config check` notes it, and the start itself decides.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::Path;

use crate::shape::Misfit;

/// What every SQLite database begins with. Source: sqlite.org/fileformat.html, "The Database Header".
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// Looks at the place of a SQLite database: its folder is there, and the file, if it is, can be a database.
pub(crate) fn check_sqlite(path: &Path) -> Result<(), Misfit> {
    let shown = path.display();
    let refuse = |problem: String| Err(Misfit::value("store", problem));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refuse(format!("there is no folder {}: make it first", folder.display()));
    }
    if path.is_dir() {
        return refuse(format!("{shown} is a folder: name a file in it, as {shown}/pabal.db"));
    }
    let mut begin = Vec::new();
    match File::open(path).and_then(|file| file.take(SQLITE_HEADER.len() as u64).read_to_end(&mut begin)) {
        Ok(0) => Ok(()),
        Ok(_) if begin == SQLITE_HEADER => Ok(()),
        Ok(_) => refuse(format!("{shown} is another file than a SQLite database; it is left as it is")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => refuse(format!("can't read {shown}: {error}")),
    }
}

/// Whether a server holds the database at the moment.
pub(crate) fn is_sqlite_held(path: &Path) -> bool {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let held = File::open(lock).map(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
    held.unwrap_or(false)
}

/// Looks at the address of the API. Answers whether somebody listens there already.
pub(crate) fn check_listen(address: SocketAddr) -> Result<bool, Misfit> {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(true),
        Err(error) => {
            let hint = crate::server::hint(&error);
            Err(Misfit::value("listen", format!("can't listen on {address}: {error}{hint}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("text"), "no database at all").unwrap();
        std::fs::write(path("short"), "x").unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("good"), b"SQLite format 3\0 and so on").unwrap();
        for good in ["good", "empty", "new"] {
            assert_eq!(check_sqlite(&path(good)), Ok(()), "{good}");
        }
        let problem = |name: &str| check_sqlite(&path(name)).unwrap_err().to_string();
        assert!(
            problem("text").ends_with("text is another file than a SQLite database; it is left as it is")
        );
        assert!(problem("short").contains("another file"));
        assert!(problem("nowhere/pabal.db").contains("there is no folder"));
        assert!(problem("").contains("is a folder: name a file in it"));
        assert!(!path("new").exists(), "looking makes nothing");
    }
}
