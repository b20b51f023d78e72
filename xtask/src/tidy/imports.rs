//! Who may import whom (ARCHITECTURE.md): core ← backends, channels, engine ← server ← cli; testkit only from tests and
//! chaos; the emulator nothing of ours; chaos imported by nothing. And a backend or channel is named in its own folder
//! and in the server's wiring alone.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Source;
use crate::run;

/// Each crate of ours, and which of ours it may depend on (`dev`: for its tests only).
const MAY: [(&str, &[&str], &[&str]); 11] = [
    ("pabal-core", &[], &[]),
    ("pabal-memory", &["pabal-core"], &["pabal-testkit"]),
    ("pabal-sqlite", &["pabal-core"], &["pabal-testkit"]),
    ("pabal-fcm", &["pabal-core"], &["fcm-emulator", "pabal-testkit"]),
    ("pabal-engine", &["pabal-core"], &["pabal-testkit", "pabal-memory", "pabal-sqlite"]),
    (
        "pabal-server",
        &["pabal-core", "pabal-engine", "pabal-memory", "pabal-sqlite", "pabal-fcm"],
        &["pabal-testkit", "fcm-emulator"],
    ),
    ("pabal-cli", &["pabal-core", "pabal-server", "fcm-emulator"], &["pabal-testkit"]),
    ("fcm-emulator", &[], &[]),
    ("pabal-testkit", &["pabal-core", "pabal-engine", "pabal-memory"], &["pabal-sqlite"]),
    (
        "pabal-chaos",
        &["pabal-core", "pabal-engine", "pabal-testkit", "pabal-memory", "pabal-sqlite", "fcm-emulator"],
        &[],
    ),
    ("xtask", &[], &[]),
];

/// Words that name a backend or channel, and the places that may use them beside tests.
const NAMED: [(&str, &[&str]); 3] = [
    (
        "pabal_sqlite",
        &["crates/backends/sqlite/", "crates/server/src/wiring", "crates/chaos/", "crates/testkit/tests/"],
    ),
    (
        "pabal_memory",
        &["crates/backends/memory/", "crates/server/src/wiring", "crates/chaos/", "crates/testkit/tests/"],
    ),
    ("pabal_fcm", &["crates/channels/fcm/", "crates/server/src/wiring", "fuzz/"]),
];

pub(super) fn check(sources: &[Source]) -> Result<Vec<String>> {
    let metadata = run::output(&run::cargo_path(), &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let mut problems = crates(&metadata);
    problems.extend(sources.iter().filter(|source| source.is_rust() && !source.is_test()).flat_map(names));
    problems.extend(
        sources.iter().filter(|source| source.path.starts_with("crates/core/")).flat_map(core_is_pure),
    );
    Ok(problems)
}

fn crates(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, may, may_in_tests)) = MAY.iter().find(|(known, ..)| *known == name) else {
            problems.push(format!("{name} has no line in xtask's table of who may import whom"));
            continue;
        };
        for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let in_tests = dependency["kind"].as_str() == Some("dev");
            let allowed = may.contains(&on) || (in_tests && may_in_tests.contains(&on));
            if ours.contains(&on) && !allowed {
                problems.push(format!(
                    "{name} must not import {on}{}",
                    if in_tests { " even in tests" } else { "" }
                ));
            }
        }
    }
    problems
}

fn names(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (word, places) in NAMED {
        let may =
            source.path.starts_with("xtask/") || places.iter().any(|place| source.path.starts_with(place));
        if !may && source.lines_without_tests().any(|line| line.contains(word)) {
            problems.push(format!(
                "{} names {word}, which belongs in its folder and the server's wiring",
                source.path
            ));
        }
    }
    problems
}

fn core_is_pure(source: &Source) -> Vec<String> {
    let banned = ["tokio", "std::net", "std::fs", "rusqlite", "hyper"];
    let uses = |word: &str| {
        source.lines_without_tests().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
    };
    banned
        .iter()
        .filter(|word| uses(word))
        .map(|word| format!("{} names {word}: core does no I/O", source.path))
        .collect()
}
