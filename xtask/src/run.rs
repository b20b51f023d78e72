//! Running programs, with what was run in the error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// A command that runs at the workspace's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs cargo, the same that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

/// Runs cargo with variables added to its environment.
pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    println!("\n$ cargo {}", arguments.join(" "));
    let mut command = command(&cargo_path(), arguments);
    command.envs(environment.iter().copied());
    let status = command.status().context("cargo could not be started")?;
    ensure!(status.success(), "cargo {} failed ({status})", arguments.join(" "));
    Ok(())
}

/// Runs a program, prints what it prints line by line, and hands each line of its standard output to `look`.
/// Fails as the program does.
pub(crate) fn watched(program: &str, arguments: &[&str], look: impl FnMut(&str)) -> Result<()> {
    watched_with(program, arguments, &[], look)
}

/// The same with variables added to its environment.
pub(crate) fn watched_with(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    mut look: impl FnMut(&str),
) -> Result<()> {
    println!("\n$ {program} {}", arguments.join(" "));
    let mut child = command(program, arguments)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let Some(output) = child.stdout.take() else { bail!("{program} has no output") };
    for line in BufReader::new(output).lines() {
        let line = line.with_context(|| format!("what {program} printed could not be read"))?;
        println!("{line}");
        look(&line);
    }
    let status = child.wait()?;
    ensure!(status.success(), "{program} {} failed ({status})", arguments.join(" "));
    Ok(())
}

/// Runs a program that tells what it does on standard error; hands each line to `look`, and shows the last ones only
/// where it fails.
pub(crate) fn quiet_with(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    mut look: impl FnMut(&str),
) -> Result<()> {
    const SHOWN_MAX: usize = 60;
    println!("\n$ {program} {}", arguments.join(" "));
    let mut child = command(program, arguments)
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let Some(output) = child.stderr.take() else { bail!("{program} has no output") };
    let mut last = VecDeque::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("what {program} printed could not be read"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        look(&line);
        if last.len() == SHOWN_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }
    let status = child.wait()?;
    if !status.success() {
        last.iter().for_each(|line| eprintln!("{line}"));
    }
    ensure!(status.success(), "{program} {} failed ({status})", arguments.join(" "));
    Ok(())
}

/// The cargo that runs this.
pub(crate) fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// What a program printed on its standard output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        command(program, arguments).output().with_context(|| format!("{program} could not be started"))?;
    ensure!(output.status.success(), "{program} {} failed ({})", arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
