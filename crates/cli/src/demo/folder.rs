//! The folder that keeps the demo over restarts: database, emulator's identity, API key, and the record of what was
//! sent.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};

/// Where the demo keeps its data, from the working directory.
const FOLDER: &str = "pabal-demo";

/// The demo's folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Opens the folder, and makes it if it isn't there.
    pub(super) fn open() -> Result<Self> {
        let folder = PathBuf::from(FOLDER);
        fs::create_dir_all(&folder).with_context(|| {
            format!("can't make the folder ./{FOLDER}: start the demo in a folder that you may write to")
        })?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn database(&self) -> PathBuf {
        self.0.join("pabal.db")
    }

    pub(super) fn emulator_state(&self) -> PathBuf {
        self.0.join("emulator")
    }

    pub(super) fn api_key_file(&self) -> PathBuf {
        self.0.join("api-key")
    }

    /// The record of what was accepted.
    pub(super) fn sent_file(&self) -> PathBuf {
        self.0.join("sent.txt")
    }

    /// The API key of the demo, drawn at the first start.
    pub(super) fn api_key(&self) -> Result<SecretString> {
        let path = self.api_key_file();
        match fs::read_to_string(&path) {
            Ok(key) => Ok(SecretString::from(key.trim())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = pabal_server::keys::draw()?;
                write_private(&path, key.expose_secret())?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    /// Writes the service account's key file, which names the emulator's address of this start.
    pub(super) fn write_service_account(&self, json: &str) -> Result<PathBuf> {
        let path = self.0.join("service-account.json");
        write_private(&path, json)?;
        Ok(path)
    }
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| format!("can't write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("can't write {}", path.display()))
}
