//! Our pages in a real Chromium (the emulator's, and the server's `/docs`), and the picture of the first in the documents.
//!
//! playwright-core, exactly the version of `package-lock.json`, is kept beside the other tools; it brings no browser,
//! Debian's own is driven.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Counts, fingerprint, tools};
use crate::{run, setup};

const TESTS: &str = "crates/fcm-emulator/browser-tests";
/// Where the tests of other pages are: they use the tools of the first.
const MORE_TESTS: &[&str] = &["crates/server/browser-tests"];
const PICTURE: &str = "docs/guide/images/emulator.png";
/// Written last: a folder without it was not finished.
const READY: &str = "ready";

/// The suite `browser`.
pub(super) fn pages() -> Result<Counts> {
    setup::install(setup::BROWSER)?;
    let reporter = format!("--test-reporter={}", text(&run::root().join(TESTS).join("reporter.mjs"))?);
    let files = test_files()?;
    let mut arguments = vec!["--test", "--test-concurrency=1", &reporter];
    arguments.extend(files.iter().map(String::as_str));
    with_tools(|environment| Counts::of_program("node", &arguments, environment))
}

/// One by one, because versions of node differ in what they make of a folder.
fn test_files() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in [TESTS].iter().chain(MORE_TESTS) {
        let listed = std::fs::read_dir(run::root().join(folder));
        for entry in listed.with_context(|| format!("{folder} could not be listed"))? {
            let path = entry?.path();
            if path.to_str().is_some_and(|path| path.ends_with(".test.mjs")) {
                files.push(text(&path)?.to_owned());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The chore `screenshots`: draws the pictures in the documents anew.
pub(crate) fn screenshots() -> Result<()> {
    setup::install(setup::BROWSER)?;
    setup::install(setup::FONTS)?;
    let (script, picture) = (run::root().join(TESTS).join("screenshot.mjs"), run::root().join(PICTURE));
    if let Some(folder) = picture.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    }
    with_tools(|environment| {
        run::watched_with("node", &[text(&script)?, text(&picture)?], environment, |_| {})
    })
}

/// Runs something that finds our programs and the packages by its environment.
fn with_tools<T>(program: impl FnOnce(&[(&str, &str)]) -> Result<T>) -> Result<T> {
    run::cargo(&["build", "--locked", "-p", "fcm-emulator", "-p", "pabal-cli"])?;
    let binaries = run::root().join("target/debug");
    let (emulator, pabal) = (binaries.join("fcm-emulator"), binaries.join("pabal"));
    let modules = packages()?;
    let environment =
        [("FCM_EMULATOR", text(&emulator)?), ("PABAL", text(&pabal)?), ("NODE_MODULES_OF", text(&modules)?)];
    program(&environment)
}

/// A folder with the packages that the lock file names.
fn packages() -> Result<PathBuf> {
    let tests = run::root().join(TESTS);
    let files = ["package.json", "package-lock.json"];
    let mut pins = Vec::new();
    for file in files {
        pins.extend(std::fs::read(tests.join(file)).with_context(|| format!("{file} could not be read"))?);
    }
    let folder = tools().join(format!("browser-{}", fingerprint(&pins)));
    if folder.join(READY).is_file() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    for file in files {
        std::fs::copy(tests.join(file), folder.join(file))
            .with_context(|| format!("{file} could not be copied"))?;
    }
    run::watched("npm", &["ci", "--no-audit", "--no-fund", "--prefix", text(&folder)?], |_| {})?;
    std::fs::write(folder.join(READY), "").context("the packages could not be marked as ready")?;
    Ok(folder)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
