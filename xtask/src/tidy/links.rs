//! Relative links in documents must lead to a file, and to a heading in it where they name one.

use std::path::Path;

use super::Source;

pub(super) fn check(sources: &[Source], root: &Path) -> Vec<String> {
    let documents = sources.iter().filter(|source| is_document(&source.path));
    documents.flat_map(|document| broken(document, root)).collect()
}

fn is_document(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "md")
}

fn broken(document: &Source, root: &Path) -> Vec<String> {
    let path = root.join(&document.path);
    let folder = path.parent().unwrap_or(root);
    let targets = targets(&document.text);
    let local = targets.iter().filter(|target| !target.contains("://") && !target.starts_with('/'));
    let problem = |target: &&str| missing(document, folder, target);
    local.filter_map(problem).map(|missing| format!("{} links to {missing}", document.path)).collect()
}

/// What a target names that is not there.
fn missing(document: &Source, folder: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    if !file.is_empty() && !folder.join(file).exists() {
        return Some(format!("{file}, which is not there"));
    }
    let anchor = anchor?;
    let text = match file {
        "" => Some(document.text.clone()),
        file if is_document(file) => std::fs::read_to_string(folder.join(file)).ok(),
        _ => None,
    };
    (!anchors(&text?).iter().any(|there| there == anchor))
        .then(|| format!("{target}, and no heading is called so"))
}

fn targets(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// What headings are called in links, as GitHub and most others make it of their text.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let title = line.trim_start_matches('#');
        if is_code || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title.trim());
        let same = anchors.iter().filter(|there| **there == anchor).count();
        anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
    }
    anchors
}

fn anchor(title: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    title.chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_what_stands_in_the_round_brackets() {
        assert_eq!(targets("a [b](c.md#d) e [f](https://g)"), ["c.md#d", "https://g"]);
    }

    #[test]
    fn headings_are_called_by_their_words() {
        let text =
            "# What `pabal` does, and why\n```sh\n# no heading\n```\n## 한국어 README\n## A\n### A\n#b\n";
        assert_eq!(anchors(text), ["what-pabal-does-and-why", "한국어-readme", "a", "a-1"]);
    }

    #[test]
    fn links_to_nothing_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.md"), "# There\n").unwrap();
        let check = |target: &str, expected: Option<&str>| {
            let text = format!("# Here\n[x]({target})\n");
            let found = broken(&Source { path: "a.md".into(), text }, folder.path());
            let expected: Vec<String> =
                expected.map(|end| format!("a.md links to {end}")).into_iter().collect();
            assert_eq!(found, expected);
        };
        check("b.md", None);
        check("b.md#there", None);
        check("#here", None);
        check("https://a/b.md#c", None);
        check("c.md#there", Some("c.md, which is not there"));
        check("b.md#where", Some("b.md#where, and no heading is called so"));
        check("#there", Some("#there, and no heading is called so"));
    }
}
