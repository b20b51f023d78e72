//! Failures and the exit codes that scripts decide by. docs/guide/errors.md lists them.

use std::process::ExitCode;

/// A failure with an exit code of its own. Any other error ends with 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The server can't be reached, or can't do it now.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such notification or delivery.
    #[error("{0}")]
    NotFound(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The command line is wrong in a way that its parser can't see.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Refused(_) => 3,
            Failure::Unavailable(_) => 4,
            Failure::NotFound(_) => 5,
            Failure::Configuration(_) => 6,
        }
    }
}

/// Tells what failed on standard error, with `json` as a JSON object, and ends with its code.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let code = error.downcast_ref::<Failure>().map_or(1, Failure::code);
    tell(&format!("{error:#}"), code, json);
    ExitCode::from(code)
}

/// Tells that the command line is wrong, as its parser puts it; also its answers to `--help` and `--version`, which are
/// no failures.
pub(crate) fn report_usage(error: &clap::Error, json: bool) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if json && error.use_stderr() {
        tell(error.render().to_string().trim().trim_start_matches("error: "), code, json);
    } else if let Err(error) = error.print() {
        // Whoever asked has gone away: there is nobody left to tell.
        tracing::debug!(%error, "the message could not be printed");
    }
    ExitCode::from(code)
}

fn tell(message: &str, code: u8, json: bool) {
    if json {
        eprintln!("{}", serde_json::json!({ "error": message, "exit_code": code }));
    } else {
        eprintln!("pabal: {message}");
    }
}
