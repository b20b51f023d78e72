//! The log: lines on standard error, so that standard output belongs to answers.

mod lines;

use pabal_server::config::{LogFormat, LogSection};

use self::lines::JsonLines;
use crate::failure::Failure;

/// Starts the log as configured.
pub(crate) fn start(section: &LogSection) -> anyhow::Result<()> {
    let filter = section.filter().map_err(|misfit| Failure::Configuration(misfit.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match section.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => lines.json().event_format(JsonLines).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log can't be started: {error}"))
}

/// Starts the log for commands that have no configuration.
pub(crate) fn start_plain() -> anyhow::Result<()> {
    start(&LogSection::default())
}
