//! Ways in for the fuzzer (`cargo xtask fuzz`), which is a crate of its own. No part of the interface: they take raw bytes
//! and hold what comes out against what must always be true.

use crate::config::Config;

pub use crate::api::fuzzing::{batch, cursor, request};

/// A configuration: the file, then a line `---`, then variables as `NAME=value`.
///
/// # Panics
/// If a secret of it shows where it is refused, or what it became.
pub fn config(bytes: &[u8]) {
    const SECRET: &str = "kept-to-oneself-0123456789";
    let text = String::from_utf8_lossy(bytes);
    let (file, variables) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let variables: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        // What names a file would be read.
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain([("PABAL_API_KEY".to_owned(), SECRET.to_owned())])
        .collect();
    let shown = match Config::of_text(file, &variables) {
        Ok(config) => format!("{config:?}"),
        Err(error) => error.to_string(),
    };
    assert!(!shown.contains(SECRET), "a secret shows in: {shown}");
}
