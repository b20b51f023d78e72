//! Relative links in documents must lead to a file.

use std::path::Path;

use super::Source;

pub(super) fn check(sources: &[Source], root: &Path) -> Vec<String> {
    let documents = sources.iter().filter(|source| source.path.ends_with(".md"));
    documents.flat_map(|document| broken(document, root)).collect()
}

fn broken(document: &Source, root: &Path) -> Vec<String> {
    let path = root.join(&document.path);
    let folder = path.parent().unwrap_or(root);
    let targets = targets(&document.text);
    let local = targets.iter().filter(|target| !target.contains("://") && !target.starts_with(['#', '/']));
    let files =
        local.map(|target| target.split('#').next().unwrap_or_default()).filter(|file| !file.is_empty());
    files
        .filter(|file| !folder.join(file).exists())
        .map(|file| format!("{} links to {file}, which is not there", document.path))
        .collect()
}

fn targets(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_what_stands_in_the_round_brackets() {
        assert_eq!(targets("a [b](c.md#d) e [f](https://g)"), ["c.md#d", "https://g"]);
    }
}
