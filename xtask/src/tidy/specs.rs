//! Each numbered sentence of docs/specs must be cited by a test, by its number: `Q7`, `L12`, `S3`, `C4`, `U1`.

use std::collections::BTreeSet;

use super::Source;

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let code: Vec<&Source> = sources.iter().filter(|source| source.is_rust()).collect();
    let mut cited = BTreeSet::new();
    for source in code {
        cited.extend(source.text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_number(word)));
    }
    let specs = sources.iter().filter(|source| source.path.starts_with("docs/specs/"));
    specs.flat_map(|spec| uncited(spec, &cited)).collect()
}

fn uncited(spec: &Source, cited: &BTreeSet<&str>) -> Vec<String> {
    let sentences = spec.text.lines().filter_map(|line| {
        let rest = line.trim_start_matches(['-', ' ', '|']).strip_prefix("**")?;
        let number = rest.split("**").next()?.trim_end_matches('.');
        is_number(number).then_some(number)
    });
    let missing = sentences.filter(|number| !cited.contains(number));
    missing.map(|number| format!("{}: no test cites {number}", spec.path)).collect()
}

fn is_number(word: &str) -> bool {
    let mut letters = word.chars();
    matches!(letters.next(), Some('Q' | 'L' | 'S' | 'C' | 'U'))
        && word.len() > 1
        && letters.all(|c| c.is_ascii_digit())
}
