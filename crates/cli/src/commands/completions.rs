//! `pabal completions`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;
use serde_json::json;

use crate::help;
use crate::output::Output;

/// Print what a shell needs to complete commands and options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: Output) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "pabal", &mut script);
    let script = String::from_utf8(script)?;
    let answer = json!({ "shell": args.shell.to_string(), "script": script });
    output.answer(&answer, |_| script)?;
    Ok(ExitCode::SUCCESS)
}
