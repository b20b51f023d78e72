//! Tests that are not cargo's: another language's own SDK, a browser, a fuzzer of the API. Each runs a real process of
//! ours, brings its own tools into `target/tools/`, and ends with a line like `12 passed, 1 failed`, which the tally
//! adds.
//!
//! A suite is a file here and a line in [`SUITES`].

mod api;
pub(crate) mod browser;
mod python;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::run;

/// A suite by the name it is asked for with, and what runs it.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// Builds what it tests, sets up its tools, runs it. An error is a suite that could not be run at all; tests that
    /// fail are counted.
    pub(crate) run: fn() -> Result<Counts>,
}

/// All of them, in the order they run.
pub(crate) const SUITES: &[Suite] = &[
    Suite { name: "sdk", run: python::emulator_sdk },
    Suite { name: "api", run: api::generated_requests },
    Suite { name: "browser", run: browser::pages },
    Suite { name: "fuzz", run: crate::fuzz::suite },
];

/// What a suite ran. A test that can't be set up or torn down counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Reads the last line of a runner that says `1 failed, 12 passed, 2 errors in 3.4s`, in any order, with words in
    /// between and decoration around. None if it counts nothing.
    fn read(line: &str) -> Option<Counts> {
        let mut counts = Counts::default();
        let mut words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            match (word.parse::<u64>(), words.peek()) {
                (Ok(count), Some(&"passed")) => counts.passed += count,
                (Ok(count), Some(&("failed" | "error" | "errors"))) => counts.failed += count,
                _ => {}
            }
        }
        (counts != Counts::default()).then_some(counts)
    }

    /// Runs a suite's program and takes its counts from the last line that has any.
    ///
    /// A program that counts nothing, or fails without counting a failure, did not do its work.
    fn of_program(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Counts> {
        let mut counts = None;
        let ended =
            run::watched_with(program, arguments, environment, |line| counts = Counts::read(line).or(counts));
        match (counts, ended) {
            (Some(counts), Ok(())) => Ok(counts),
            (Some(counts), Err(_)) if counts.failed > 0 => Ok(counts),
            (None, Ok(())) => bail!("{program} {} ran no test", arguments.join(" ")),
            (_, Err(error)) => Err(error),
        }
    }
}

/// Where suites keep what they bring along.
fn tools() -> PathBuf {
    run::root().join("target/tools")
}

/// A short name for exact contents: what was made from them is still good while they are the same.
fn fingerprint(contents: &[u8]) -> String {
    // FNV-1a: nothing depends on it but the name of a folder.
    let hash = contents.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_read() {
        let check = |line: &str, expected: Option<(u64, u64)>| {
            let counts = Counts::read(line).map(|counts| (counts.passed, counts.failed));
            assert_eq!(counts, expected, "{line}");
        };
        check("82 passed in 14.52s", Some((82, 0)));
        check("=== 4 failed, 76 passed, 1076 warnings, 7 errors in 17.63s ===", Some((76, 11)));
        check("1 error in 0.10s", Some((0, 1)));
        check("12 passed, 0 failed", Some((12, 0)));
        check("no tests ran in 0.01s", None);
        check("5 skipped in 0.01s", None);
        check("passed 3", None);
    }

    #[test]
    fn programs_are_held_to_what_they_count() {
        let run = |script: &str| Counts::of_program("sh", &["-c", script], &[("WORD", "passed")]);
        assert_eq!(run("echo 3 $WORD; echo bye").unwrap(), Counts { passed: 3, failed: 0 });
        assert_eq!(run("echo 1 failed, 3 passed; exit 1").unwrap(), Counts { passed: 3, failed: 1 });
        assert!(run("echo nothing").unwrap_err().to_string().contains("ran no test"));
        assert!(run("echo 3 passed; exit 1").is_err(), "it failed and doesn't say at what");
        assert!(run("exit 3").is_err());
    }

    #[test]
    fn suites_have_names_of_their_own() {
        let mut names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn other_contents_have_another_name() {
        assert_eq!(fingerprint(b"a==1"), fingerprint(b"a==1"));
        assert_ne!(fingerprint(b"a==1"), fingerprint(b"a==2"));
    }
}
