//! The project's own chores, run as `cargo xtask <chore>`.
//!
//! | chore | what it does |
//! | --- | --- |
//! | `test` | sets up what the tests need, runs all of them, then the simulator and the kill test |
//! | `tidy` | checks the house: who imports whom, lengths, links, specs, words |
//! | `check` | formatting, tidy, clippy and rustdoc, cheapest first |
//! | `ci` | `check`, then `test`: what must be green before a change lands |

mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if !rest.is_empty() && chore != "tidy" {
        bail!("'{chore}' takes no arguments, and got {}", rest.join(" "));
    }
    match chore.as_str() {
        "test" => test::all(),
        "tidy" => tidy::all(rest.iter().any(|argument| argument == "--write")),
        "check" => check(),
        "ci" => check().and_then(|()| test::all()),
        "" => bail!("name a chore: cargo xtask test | tidy [--write] | check | ci"),
        other => bail!("there is no chore '{other}'; there are: test, tidy [--write], check, ci"),
    }
}

/// What can be told without running anything of ours, cheapest first.
fn check() -> Result<()> {
    setup::packages()?;
    run::cargo(&["fmt", "--all", "--check"])?;
    tidy::all(false)?;
    run::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])?;
    run::cargo_with(
        &["doc", "--workspace", "--no-deps", "--all-features", "--locked"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}
