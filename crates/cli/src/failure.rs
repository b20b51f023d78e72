//! Failures and the exit codes that scripts decide by. docs/guide/errors.md lists them.

use std::process::ExitCode;

use crate::output::is_nobody_reads;

/// The codes, and what they mean in short.
pub(crate) const EXIT_CODES: [(&str, &str); 8] = [
    ("0", "done"),
    ("1", "unexpected failure"),
    ("2", "wrong command line"),
    ("3", "refused by the server"),
    ("4", "not now: the server can't be reached or can't do it, or a port or a database is taken"),
    ("5", "no such thing"),
    ("6", "wrong configuration, or a file or an address that can't be used"),
    ("130, 143", "ended by Ctrl-C or SIGTERM before it was done; serve and emulator: by a second one"),
];

/// A failure with an exit code of its own. Any other error ends with 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The server refuses the request because of how things stand.
    #[error("{0}")]
    Conflict(String),
    /// The server refuses the request because there are enough of its kind.
    #[error("{0}")]
    LimitReached(String),
    /// The server can't be reached, or can't do it now.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such thing.
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
    /// The same, and what to do about it where things stand otherwise than was thought.
    pub(crate) fn advised(self, on_conflict: &str) -> Self {
        match self {
            Failure::Conflict(message) => Failure::Conflict(format!("{message}. {on_conflict}")),
            other => other,
        }
    }

    /// The same, and what it is about.
    pub(crate) fn at(mut self, what: &str) -> Self {
        let message = match &mut self {
            Failure::Refused(message)
            | Failure::Conflict(message)
            | Failure::LimitReached(message)
            | Failure::Unavailable(message)
            | Failure::NotFound(message)
            | Failure::Configuration(message)
            | Failure::Usage(message) => message,
        };
        *message = format!("{what}: {message}");
        self
    }

    const fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Refused(_) | Failure::Conflict(_) | Failure::LimitReached(_) => 3,
            Failure::Unavailable(_) => 4,
            Failure::NotFound(_) => 5,
            Failure::Configuration(_) => 6,
        }
    }
}

/// Tells what failed on standard error, with `json` as a JSON object, and ends with its code.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_nobody_reads(error) {
        return ExitCode::SUCCESS;
    }
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
