//! All tests: those of every crate, then the simulator and the kill test on the real processes.

use anyhow::{Result, ensure};

use crate::{run, setup};

/// Seeds that the simulator runs. Its own default is for a longer look.
const SIM_SEEDS: &str = "2000";
/// Rounds of the kill test.
const KILL_ROUNDS: &str = "3";

/// Runs everything; the last line counts what ran.
pub(crate) fn all() -> Result<()> {
    setup::packages()?;
    let mut tally = Tally::default();
    let cargo = run::cargo_path();
    let tests = ["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"];
    let tested = run::watched(&cargo, &tests, |line| tally.add(line));
    if tested.is_err() && tally.failed == 0 {
        tally.failed = 1;
    }
    if tested.is_ok() {
        run::cargo(&["build", "--release", "--locked", "-p", "pabal-cli", "-p", "pabal-chaos"])?;
        tally.program(&["sim", "--seeds", SIM_SEEDS, "--json"]);
        tally.program(&["kill", "--rounds", KILL_ROUNDS, "--json"]);
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    ensure!(tally.passed > 0, "no test ran");
    ensure!(tally.failed == 0, "{} failed", tally.failed);
    Ok(())
}

/// What ran.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds a `test result:` line of cargo's.
    fn add(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result:") else { return };
        let mut words = rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            match (word.parse::<u64>(), words.peek()) {
                (Ok(count), Some(&"passed")) => self.passed += count,
                (Ok(count), Some(&"failed")) => self.failed += count,
                _ => {}
            }
        }
    }

    /// Runs a program of `pabal-chaos`; it counts as one test.
    fn program(&mut self, arguments: &[&str]) {
        let program = run::root().join("target/release/pabal-chaos");
        match run::watched(&program.to_string_lossy(), arguments, |_| {}) {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                self.failed += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "test result: ok. 32 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        tally.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.add("test a_name ... ok");
        assert_eq!((tally.passed, tally.failed), (34, 3));
    }
}
