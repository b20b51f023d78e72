//! Firebase's own Python Admin SDK against a real emulator process.
//!
//! Its packages, exactly those of `requirements.txt`, live in a virtual environment that is made once for each version
//! of that file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Counts, fingerprint, tools};
use crate::{run, setup};

const TESTS: &str = "crates/fcm-emulator/sdk-tests";
/// Written last: an environment without it was not finished.
const READY: &str = "ready";

/// The suite `sdk`.
pub(super) fn emulator_sdk() -> Result<Counts> {
    setup::install(setup::PYTHON)?;
    run::cargo(&["build", "--locked", "-p", "fcm-emulator"])?;
    let emulator = run::root().join("target/debug/fcm-emulator");
    let python = environment(&run::root().join(TESTS).join("requirements.txt"))?;
    let variables =
        [("FCM_EMULATOR", text(&emulator)?), ("PYTHONDONTWRITEBYTECODE", "1"), ("PY_COLORS", "0")];
    Counts::of_program(text(&python)?, &["-m", "pytest", "-q", TESTS], &variables)
}

/// The interpreter of a virtual environment with these requirements.
pub(super) fn environment(requirements: &Path) -> Result<PathBuf> {
    let pins = std::fs::read(requirements)
        .with_context(|| format!("{} could not be read", requirements.display()))?;
    let folder = tools().join(format!("python-{}", fingerprint(&pins)));
    let python = folder.join("bin/python");
    // Both, because the interpreter is a link to one of the machine's, which may have gone.
    if folder.join(READY).is_file() && python.is_file() {
        return Ok(python);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("{} is unusable and could not be removed", folder.display()))?;
    }
    run::watched("python3", &["-m", "venv", text(&folder)?], |_| {})?;
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", text(requirements)?];
    run::watched(text(&python)?, &install, |_| {})?;
    std::fs::write(folder.join(READY), "").context("the Python environment could not be marked as ready")?;
    Ok(python)
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
