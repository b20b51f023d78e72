//! What the guide quotes from the log is what the log says, and every ERROR is explained there.

use std::path::{Path, PathBuf};

const OPERATIONS: &str = include_str!("../../../../docs/guide/operations.md");
/// What runs in a server.
const ROOMS: [&str; 6] = ["core", "engine", "backends", "channels", "server", "cli"];

/// The sources of the server, without their tests.
fn sources() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| crates.join(room)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    sources
}

/// The part of the page that quotes the log.
fn about_the_log() -> &'static str {
    let (_, rest) = OPERATIONS.split_once("## What the log says, and what to do\n").unwrap();
    rest.split("\n## ").next().unwrap()
}

/// What is between backticks and reads like a sentence.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| {
        quoted.contains(' ') && !quoted.starts_with("pabal ") && !quoted.starts_with("sqlite3 ")
    })
}

#[test]
fn every_quoted_line_is_in_the_code() {
    let sources = sources();
    let lines: Vec<&str> = quoted(about_the_log()).collect();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        let literal = match line.strip_suffix('…') {
            Some(beginning) => format!("\"{}", beginning.trim_end()),
            None => format!("\"{line}\""),
        };
        assert!(sources.iter().any(|source| source.contains(&literal)), "nothing logs {line}");
    }
}

#[test]
fn every_error_is_explained() {
    let rows = about_the_log().lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let explained: Vec<&str> = rows.flat_map(quoted).collect();
    let mut count = 0;
    for source in sources() {
        for call in source.split("error!(").skip(1).map(|rest| rest.split(");").next().unwrap()) {
            let messages = call.split('"').skip(1).step_by(2);
            let message = messages.last().unwrap_or_else(|| panic!("an ERROR says nothing: {call}"));
            assert!(
                explained.contains(&message),
                "docs/guide/operations.md does not explain the ERROR '{message}'"
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} are found");
}
