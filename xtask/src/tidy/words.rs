//! Words that don't belong in the repository: time and sleep where they are injected, and paths of one machine.

use super::Source;

/// Where the wall clock may be read: the one clock, and programs that measure themselves.
const CLOCKS: [&str; 6] = [
    "crates/core/src/clock.rs",
    "crates/fcm-emulator/",
    "crates/backends/sqlite/src/clock",
    "crates/chaos/src/kill",
    "crates/cli/",
    "xtask/",
];

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .flat_map(|source| wall_clock(source).into_iter().chain(sleeps(source)).chain(places(source)))
        .collect()
}

fn wall_clock(source: &Source) -> Option<String> {
    let may = CLOCKS.iter().any(|place| source.path.starts_with(place)) || source.is_test();
    let reads = source.is_rust() && source.lines_without_tests().any(|line| line.contains("SystemTime::now"));
    (reads && !may).then(|| format!("{} reads the wall clock; take a Clock", source.path))
}

/// A test awaits the thing itself, and never a pause.
fn sleeps(source: &Source) -> Option<String> {
    let is_test = source.is_rust() && source.path.contains("/tests/");
    let sleeps = is_test && source.text.lines().any(|line| line.contains("thread::sleep"));
    sleeps.then(|| format!("{} sleeps; await the thing itself", source.path))
}

fn places(source: &Source) -> Option<String> {
    if source.path.starts_with("xtask/src/tidy/") {
        return None;
    }
    let foreign = ["/work/", ".library/"];
    let word = foreign.iter().find(|word| source.text.contains(*word))?;
    Some(format!("{} holds '{word}', a path of one machine", source.path))
}
