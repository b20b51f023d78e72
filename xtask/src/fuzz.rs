//! Fuzzing, guided by coverage: libFuzzer over what reads bytes of strangers. It needs no nightly compiler: the counters
//! are LLVM's own pass, which stable Rust can be asked for.
//!
//! The seeds in `fuzz/corpus` are read and never changed, but by `--save`; what a run finds is kept in
//! `target/fuzz/corpus`, so that the next one begins where this one ended. An input that breaks something is written to
//! `target/fuzz/broken`, with the command that shows it again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::outside::Counts;
use crate::{run, setup};

/// What can be fuzzed; `fuzz/src/main.rs` has the same names.
const TARGETS: &[&str] =
    &["request", "batch", "cursor", "config", "fcm_answer", "proxy_answer", "retry_after"];
/// How long each target runs where nothing is said, and in the tests.
const SECONDS_DEFAULT: u64 = 60;
const SECONDS_IN_TESTS: u64 = 5;
/// What libFuzzer is held to: an input of the size of a request, a second each, and no leak.
const LIMITS: [&str; 4] = ["-max_len=70000", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"];
/// LLVM's counters, in every crate.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Ccodegen-units=1";

/// What to fuzz, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    seconds: u64,
    target: Option<String>,
    save: bool,
}

impl Plan {
    /// Reads `--seconds N`, `--target NAME` and `--save`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Plan> {
        let mut plan = Plan { seconds: SECONDS_DEFAULT, target: None, save: false };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} takes a value"));
            match word.as_str() {
                "--seconds" => plan.seconds = value()?.parse().context("--seconds takes a whole number")?,
                "--target" => plan.target = Some(value()?.clone()),
                "--save" => plan.save = true,
                other => bail!("'fuzz' takes --seconds N, --target NAME and --save, and got {other}"),
            }
        }
        ensure!(plan.seconds > 0, "--seconds is zero");
        if let Some(unknown) = plan.target.as_deref().filter(|name| !TARGETS.contains(name)) {
            bail!("there is no target '{unknown}'; there are: {}", TARGETS.join(", "));
        }
        Ok(plan)
    }
}

/// The chore `fuzz`.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let program = build()?;
    for target in TARGETS.iter().filter(|name| plan.target.as_deref().is_none_or(|only| only == **name)) {
        fuzz(&program, target, plan.seconds)?;
        if plan.save {
            save(&program, target)?;
        }
    }
    Ok(())
}

/// The suite `fuzz`: a short run of each target.
pub(crate) fn suite() -> Result<Counts> {
    let program = build()?;
    let mut counts = Counts::default();
    for target in TARGETS {
        match fuzz(&program, target, SECONDS_IN_TESTS) {
            Ok(()) => counts.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                counts.failed += 1;
            }
        }
    }
    Ok(counts)
}

fn build() -> Result<PathBuf> {
    setup::install(setup::FUZZER)?;
    let host = host()?;
    let folder = run::root().join("target/fuzz");
    run::cargo_with(
        &[
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            text(&folder)?,
            // Build scripts and macros stay without counters.
            "--target",
            &host,
        ],
        &[("RUSTFLAGS", COVERAGE)],
    )?;
    Ok(folder.join(host).join("release/pabal-fuzz"))
}

/// What this machine is, as the compiler names it.
fn host() -> Result<String> {
    let version = run::output("rustc", &["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what machine this is")
}

fn fuzz(program: &Path, target: &str, seconds: u64) -> Result<()> {
    let (found, broken) = (folder("corpus", target)?, folder("broken", target)?);
    let seeds = run::root().join("fuzz/corpus").join(target);
    ensure!(seeds.is_dir(), "{} is missing", seeds.display());
    let time = format!("-max_total_time={seconds}");
    let broken_prefix = format!("-artifact_prefix={}/", text(&broken)?);
    let mut arguments: Vec<&str> = LIMITS.to_vec();
    arguments.extend([time.as_str(), &broken_prefix, text(&found)?, text(&seeds)?]);
    let mut units = 0_u64;
    let ended = run::quiet_with(text(program)?, &arguments, &[("PABAL_FUZZ", target)], |line| {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            units = count.trim().parse().unwrap_or(0);
        }
    });
    if let Err(error) = ended {
        bail!(
            "{target} is broken by an input in {}; see it again with PABAL_FUZZ={target} {} FILE\n{error:#}",
            broken.display(),
            program.display()
        );
    }
    ensure!(units > 0, "{target} ran nothing");
    println!("fuzz {target}: {units} inputs in {seconds} s");
    Ok(())
}

/// Puts what was found since into the seeds, as few files as show the same.
fn save(program: &Path, target: &str) -> Result<()> {
    let seeds = run::root().join("fuzz/corpus").join(target);
    let found = folder("corpus", target)?;
    let arguments = ["-merge=1", LIMITS[0], text(&seeds)?, text(&found)?];
    run::quiet_with(text(program)?, &arguments, &[("PABAL_FUZZ", target)], |_| {})
}

fn folder(kind: &str, target: &str) -> Result<PathBuf> {
    let folder = run::root().join("target/fuzz").join(kind).join(target);
    std::fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    Ok(folder)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            Plan::parse(&arguments)
        };
        let plan =
            |seconds, target: Option<&str>, save| Plan { seconds, target: target.map(str::to_owned), save };
        assert_eq!(parse(&[]).unwrap(), plan(SECONDS_DEFAULT, None, false));
        let given = parse(&["--seconds", "3", "--target", "config", "--save"]).unwrap();
        assert_eq!(given, plan(3, Some("config"), true));
        for (arguments, expected) in [
            (&["--seconds"][..], "--seconds takes a value"),
            (&["--seconds", "x"], "--seconds takes a whole number"),
            (&["--seconds", "0"], "--seconds is zero"),
            (&["--target", "x"], "there is no target 'x'; there are: request,"),
            (&["5"], "'fuzz' takes"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn each_target_has_seeds_and_a_line_in_the_program() {
        let program = include_str!("../../fuzz/src/main.rs");
        for target in TARGETS {
            assert!(program.contains(&format!("(\"{target}\", ")), "fuzz/src/main.rs misses {target}");
            let seeds = run::root().join("fuzz/corpus").join(target);
            assert!(seeds.read_dir().is_ok_and(|mut seeds| seeds.next().is_some()), "{target} has no seeds");
        }
    }
}
