//! Keeps the house clean: who imports whom, how long rooms are, whether links lead somewhere, whether each sentence of
//! the specs is proved, and words that don't belong here. Lengths only ever ratchet down.

mod imports;
mod length;
mod links;
mod specs;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::run;

/// A file that git knows or would add.
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        ["tests/", "/tests/", "/benches/", "crates/testkit/"].iter().any(|part| self.path.contains(part))
    }

    /// The lines before the unit tests at the end.
    pub(crate) fn lines_without_tests(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
    }
}

/// Runs every check; `write` lowers the ratchet to what the lengths are now.
pub(crate) fn all(write: bool) -> Result<()> {
    let sources = sources()?;
    let root = run::root();
    let mut problems = Vec::new();
    problems.extend(imports::check(&sources)?);
    problems.extend(length::check(&sources, &root, write)?);
    problems.extend(links::check(&sources, &root));
    problems.extend(specs::check(&sources));
    problems.extend(words::check(&sources));
    for problem in &problems {
        println!("tidy: {problem}");
    }
    ensure!(problems.is_empty(), "{} untidy places", problems.len());
    println!("tidy: {} files are in order", sources.len());
    Ok(())
}

fn sources() -> Result<Vec<Source>> {
    let listed = run::output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let root = run::root();
    let texts = listed.lines().filter(|path| is_text(path) && root.join(path).is_file());
    texts.map(|path| read(&root, path)).collect()
}

fn is_text(path: &str) -> bool {
    let endings = ["rs", "toml", "md", "sql", "sh", "json", "yml", "yaml", "html", "css", "js", "ts"];
    path == ".ci/run"
        || Path::new(path).extension().is_some_and(|end| endings.iter().any(|text| end == *text))
}

fn read(root: &Path, path: &str) -> Result<Source> {
    let full: PathBuf = root.join(path);
    let text = std::fs::read_to_string(&full).with_context(|| format!("{path} could not be read"))?;
    Ok(Source { path: path.into(), text })
}
