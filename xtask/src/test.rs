//! All tests, or a selection: those of every crate, those that aren't cargo's, then the simulator and the kill test on
//! the real processes.

use anyhow::{Result, bail, ensure};

use crate::outside::{self, Suite};
use crate::{run, setup};

/// Seeds that the simulator runs. Its own default is for a longer look.
const SIM_SEEDS: &str = "2000";
/// Rounds of the kill test.
const KILL_ROUNDS: &str = "3";

const CARGO: &str = "cargo";
const SIM: &str = "sim";
const KILL: &str = "kill";

/// Which of the tests to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Their names; all if absent.
    only: Option<Vec<String>>,
}

impl Selection {
    pub(crate) const ALL: Selection = Selection { only: None };

    /// Reads `--only cargo,sdk`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Selection> {
        let names = match arguments {
            [] => return Ok(Selection::ALL),
            [flag, names] if flag == "--only" => names.as_str(),
            [one] if one.starts_with("--only=") => &one["--only=".len()..],
            other => bail!("'test' takes --only {}, and got {}", known().join("|"), other.join(" ")),
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        if let Some(unknown) = names.iter().find(|name| !known().contains(&name.as_str())) {
            bail!("there are no tests '{unknown}'; there are: {}", known().join(", "));
        }
        Ok(Selection { only: Some(names) })
    }

    fn has(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|selected| selected == name))
    }
}

/// The names that tests are selected by, in the order they run.
fn known() -> Vec<&'static str> {
    let outside = outside::SUITES.iter().map(|suite| suite.name);
    [CARGO].into_iter().chain(outside).chain([SIM, KILL]).collect()
}

/// Runs what is selected; the last line counts what ran.
pub(crate) fn run(selection: &Selection) -> Result<()> {
    setup::packages()?;
    let mut tally = Tally::default();
    if selection.has(CARGO) {
        tally.cargo();
    }
    for suite in outside::SUITES.iter().filter(|suite| selection.has(suite.name)) {
        tally.outside(suite);
    }
    // What takes longest says nothing new while something else is broken.
    if tally.failed == 0 {
        tally.programs(selection)?;
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    ensure!(tally.passed + tally.failed > 0, "no test ran");
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
    fn cargo(&mut self) {
        let before = self.failed;
        let tests = ["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"];
        let tested = run::watched(&run::cargo_path(), &tests, |line| self.add(line));
        if tested.is_err() && self.failed == before {
            self.failed += 1;
        }
    }

    /// Runs a suite that isn't cargo's. One that could not be run counts as one that failed.
    fn outside(&mut self, suite: &Suite) {
        match (suite.run)() {
            Ok(counts) => {
                self.passed += counts.passed;
                self.failed += counts.failed;
            }
            Err(error) => {
                eprintln!("error: {}: {error:#}", suite.name);
                self.failed += 1;
            }
        }
    }

    fn programs(&mut self, selection: &Selection) -> Result<()> {
        let programs: [(&str, [&str; 4]); 2] = [
            (SIM, ["sim", "--seeds", SIM_SEEDS, "--json"]),
            (KILL, ["kill", "--rounds", KILL_ROUNDS, "--json"]),
        ];
        let selected: Vec<_> = programs.iter().filter(|(name, _)| selection.has(name)).collect();
        if selected.is_empty() {
            return Ok(());
        }
        run::cargo(&["build", "--release", "--locked", "-p", "pabal-cli", "-p", "pabal-chaos"])?;
        for (_, arguments) in selected {
            self.program(arguments);
        }
        Ok(())
    }

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
    fn tests_are_selected_by_name() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            Selection::parse(&arguments)
        };
        let all = parse(&[]).unwrap();
        assert!(known().iter().all(|name| all.has(name)));
        for arguments in [&["--only", "sdk,sim"][..], &["--only=sdk,sim"]] {
            let some = parse(arguments).unwrap();
            let selected: Vec<&str> = known().into_iter().filter(|name| some.has(name)).collect();
            assert_eq!(selected, ["sdk", "sim"]);
        }
        for (arguments, expected) in [
            (&["--only", "sdk,nope"][..], "there are no tests 'nope'; there are: cargo, sdk"),
            (&["--only", ""], "there are no tests ''"),
            (&["--only"], "'test' takes --only cargo|sdk"),
            (&["sdk"], "'test' takes --only"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{arguments:?}: {error}");
        }
    }

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
