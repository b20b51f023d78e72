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

/// Tells what failed on standard error, and ends with its code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("pabal: {error:#}");
    let code = error.downcast_ref::<Failure>().map_or(1, Failure::code);
    ExitCode::from(code)
}
