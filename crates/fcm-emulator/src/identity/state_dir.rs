//! The folder an identity is kept in: `{project}.service-account.json`, `ca.pem`, `ca-key.pem`.
//!
//! Keys are readable by their owner only. A damaged file is an error, never silently replaced: a client may hold
//! its other half.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Account, Authority, GOOGLE_TOKEN_URI, IdentityError};

/// Where an identity is kept; nowhere without a folder.
#[derive(Debug, Clone)]
pub(crate) struct StateDir(Option<PathBuf>);

impl StateDir {
    /// Opens a folder, and makes it if it isn't there.
    pub(crate) fn open(folder: Option<&Path>) -> Result<StateDir, IdentityError> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| IdentityError::File {
                action: "create",
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(StateDir(folder.map(Path::to_owned)))
    }

    /// The kept account of a project, or a new one.
    pub(crate) fn account(&self, project: &str) -> Result<Account, IdentityError> {
        let Some(folder) = &self.0 else { return Account::generate(project) };
        let path = folder.join(format!("{project}.service-account.json"));
        if let Some(json) = read(&path)? {
            let file: Value =
                serde_json::from_str(&json).map_err(|error| damaged(&path, error.to_string()))?;
            return Account::from_json(project, &file).map_err(|problem| damaged(&path, problem));
        }
        let account = Account::generate(project)?;
        let json = format!("{:#}\n", account.to_json(GOOGLE_TOKEN_URI));
        write_private(&path, &json)?;
        Ok(account)
    }

    /// The kept authority, or a new one.
    pub(crate) fn authority(&self) -> Result<Authority, IdentityError> {
        let Some(folder) = &self.0 else { return Authority::generate() };
        let (key_path, certificate_path) = (folder.join("ca-key.pem"), folder.join("ca.pem"));
        match (read(&key_path)?, read(&certificate_path)?) {
            (Some(key_pem), Some(certificate_pem)) => Ok(Authority { key_pem, certificate_pem }),
            (None, None) => {
                let authority = Authority::generate()?;
                write_private(&key_path, &authority.key_pem)?;
                write_private(&certificate_path, &authority.certificate_pem)?;
                Ok(authority)
            }
            (Some(_), None) => Err(damaged(&key_path, "`ca.pem` beside it is missing".to_owned())),
            (None, Some(_)) => {
                Err(damaged(&certificate_path, "`ca-key.pem` beside it is missing".to_owned()))
            }
        }
    }
}

fn damaged(path: &Path, problem: String) -> IdentityError {
    IdentityError::Damaged { path: path.to_owned(), problem }
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), IdentityError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| IdentityError::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_once_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || StateDir::open(Some(&folder.path().join("state"))).unwrap();
        let file = |dir: &StateDir| dir.account("demo").unwrap().to_json("u");
        assert_eq!(file(&open()), file(&open()));
        let pem = |dir: &StateDir| dir.authority().unwrap().certificate_pem;
        assert_eq!(pem(&open()), pem(&open()));
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.service-account.json");
        fs::write(&path, "{}").unwrap();
        let dir = StateDir::open(Some(folder.path())).unwrap();
        let error = dir.account("demo").unwrap_err().to_string();
        assert!(error.contains("demo.service-account.json is damaged: `private_key` is missing"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        StateDir::open(Some(folder.path())).unwrap().account("demo").unwrap();
        let metadata = fs::metadata(folder.path().join("demo.service-account.json")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}
