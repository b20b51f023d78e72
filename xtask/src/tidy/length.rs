//! Lengths: files under 500 lines and functions under 70, tests not counted. What is longer stands in
//! `xtask/ratchet.txt` with its length, which may only fall.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::Source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: &str = "xtask/ratchet.txt";

pub(super) fn check(sources: &[Source], root: &Path, write: bool) -> Result<Vec<String>> {
    let found: BTreeMap<String, usize> =
        sources.iter().filter(|source| source.is_rust() && !source.is_test()).flat_map(too_long).collect();
    if write {
        let lines: String = found.iter().map(|(place, lines)| format!("{lines} {place}\n")).collect();
        std::fs::write(root.join(RATCHET), lines).context("the ratchet could not be written")?;
        return Ok(Vec::new());
    }
    let ratchet = read(root)?;
    let mut problems = Vec::new();
    for (place, lines) in &found {
        match ratchet.get(place) {
            Some(known) if lines <= known => {}
            Some(known) => problems.push(format!("{place} has {lines} lines and had {known}: it may only get shorter")),
            None => problems.push(format!("{place} has {lines} lines: a file has at most {FILE_LINES_MAX}, a function {FUNCTION_LINES_MAX}")),
        }
    }
    let slack = ratchet.iter().filter(|(place, known)| found.get(*place).is_none_or(|lines| lines < *known));
    problems.extend(slack.map(|(place, _)| format!("{place} got shorter: run `cargo xtask tidy --write`")));
    Ok(problems)
}

fn read(root: &Path) -> Result<BTreeMap<String, usize>> {
    let Ok(text) = std::fs::read_to_string(root.join(RATCHET)) else { return Ok(BTreeMap::new()) };
    let entry = |line: &str| {
        let (lines, place) = line.split_once(' ')?;
        Some((place.to_owned(), lines.parse().ok()?))
    };
    text.lines()
        .map(|line| entry(line).with_context(|| format!("{RATCHET} has a line that is none: {line}")))
        .collect()
}

fn too_long(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.lines_without_tests().collect();
    let mut found = Vec::new();
    if lines.len() > FILE_LINES_MAX {
        found.push((source.path.clone(), lines.len()));
    }
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == end).map_or(0, |length| length + 1);
        if length > FUNCTION_LINES_MAX {
            found.push((format!("{}:{name}", source.path), length));
        }
    }
    found
}

/// The name of the function that begins on this line. The formatter's layout is relied upon.
fn function(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let text = text.strip_prefix("pub(crate) ").or_else(|| text.strip_prefix("pub(super) ")).unwrap_or(text);
    let text = text.strip_prefix("pub ").unwrap_or(text);
    let text = text.strip_prefix("async ").or_else(|| text.strip_prefix("const ")).unwrap_or(text);
    let name = text.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_functions_are_found_with_their_length() {
        let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
        let text = format!("fn short() {{\n}}\n\n    pub async fn long() {{\n{body}    }}\n");
        let source = Source { path: "a.rs".into(), text };
        assert_eq!(too_long(&source), [("a.rs:long".to_owned(), FUNCTION_LINES_MAX + 2)]);
    }
}
