//! The project's own chores, run as `cargo xtask <chore>`.
//!
//! | chore | what it does |
//! | --- | --- |
//! | `test` | sets up what the tests need, runs all of them, or those of `--only NAME,NAME` |
//! | `fuzz` | feeds what reads strangers' bytes with bytes, guided by coverage |
//! | `tidy` | checks the house: who imports whom, lengths, links, specs, words |
//! | `generate` | writes the documents anew that programs of ours print; tests compare them |
//! | `screenshots` | draws the pictures in the documents anew, in a real browser |
//! | `check` | formatting, tidy, clippy and rustdoc, cheapest first |
//! | `ci` | `check`, then `test`: what must be green before a change lands |

mod fuzz;
mod generate;
mod outside;
mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::test::Selection;

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
    if !rest.is_empty() && !matches!(chore.as_str(), "tidy" | "test" | "fuzz") {
        bail!("'{chore}' takes no arguments, and got {}", rest.join(" "));
    }
    match chore.as_str() {
        "test" => test::run(&Selection::parse(&rest)?),
        "tidy" => tidy::all(rest.iter().any(|argument| argument == "--write")),
        "fuzz" => fuzz::run(&fuzz::Plan::parse(&rest)?),
        "generate" => generate::all(),
        "screenshots" => outside::browser::screenshots(),
        "check" => check(),
        "ci" => check().and_then(|()| test::run(&Selection::ALL)),
        "" => bail!(
            "name a chore: cargo xtask test [--only NAMES] | fuzz [--seconds N] | tidy [--write] | generate | screenshots | check | ci"
        ),
        other => bail!(
            "there is no chore '{other}'; there are: test [--only NAMES], fuzz [--seconds N], tidy [--write], generate, screenshots, check, ci"
        ),
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
