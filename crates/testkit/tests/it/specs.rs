//! Holds `docs/specs/` and the cases against each other: each numbered sentence names the cases that prove it, and
//! each case cites the sentences that it proves. And no case may be written without being in its suite's list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which cases stand behind each sentence.
type Proofs = BTreeMap<String, BTreeSet<String>>;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder with this ending, in a fixed order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|has| has == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let is_number = |word: &&str| {
        let mut letters = word.chars();
        matches!(letters.next(), Some('Q' | 'L' | 'S' | 'C' | 'U'))
            && word.len() > 1
            && letters.all(|letter| letter.is_ascii_digit())
    };
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(is_number)
}

/// The words between back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What the documents say: `- **Q7** … (`case`, `case`)`.
fn told() -> Proofs {
    let mut told = Proofs::new();
    for document in files(&here().join("../../docs/specs"), "md") {
        for line in read(&document).lines() {
            let Some(rest) = line.strip_prefix("- **") else { continue };
            let (number, sentence) = rest.split_once("**").expect("a number ends");
            assert!(sentence.contains("MUST"), "{number} demands something");
            let (_, proof) = sentence.rsplit_once(". (").expect("the proof stands behind the sentence");
            let cases = quoted(proof).map(str::to_owned).collect();
            assert!(told.insert(number.to_owned(), cases).is_none(), "{number} is there once");
        }
    }
    told
}

/// What the code of any crate says: `// queue.md Q7, Q8` above a function.
fn cited() -> Proofs {
    let mut cited = Proofs::new();
    for source in files(&here().join("../../crates"), "rs") {
        let text = read(&source);
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(citation) = line.strip_prefix("// ").filter(|line| line.contains(".md ")) else {
                continue;
            };
            let function = lines[at..].iter().find_map(|line| line.split_once("fn ")).expect("a function");
            let name = function.1.split(['(', '<']).next().expect("a name");
            for number in numbers(citation) {
                cited.entry(number.to_owned()).or_default().insert(name.to_owned());
            }
        }
    }
    cited
}

#[test]
fn sentences_name_the_cases_that_cite_them() {
    let (told, cited) = (told(), cited());
    assert!(told.len() > 60, "the documents were found");
    for (number, cases) in &told {
        assert!(!cases.is_empty(), "{number} is proved by nothing");
        assert_eq!(Some(cases), cited.get(number), "{number}: the document's cases, then the code's");
    }
    let unknown: Vec<_> = cited.keys().filter(|number| !told.contains_key(*number)).collect();
    assert!(unknown.is_empty(), "cited, and in no document: {unknown:?}");
}

#[test]
fn every_case_is_in_its_suite() {
    for suite in ["queue", "ledger"] {
        let folder = here().join("src").join(suite);
        let list = read(&folder.join("mod.rs"));
        let mut cases = 0;
        for source in files(&folder, "rs").iter().filter(|source| !source.ends_with("mod.rs")) {
            let text = read(source);
            let harnessed = text
                .lines()
                .filter(|line| line.contains("(harness: impl ") || line.contains("(mut harness: impl "));
            for line in harnessed.filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = line.split('(').next().expect("a name");
                assert!(list.contains(&format!(" {name},")), "{suite}: {name} is in no list");
                cases += 1;
            }
        }
        assert!(cases > 30, "{suite}: the cases were found");
    }
}
