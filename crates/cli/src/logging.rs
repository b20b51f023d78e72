//! The log: lines on standard error, so that standard output belongs to answers.

use anyhow::Context;
use pabal_server::config::{LogFormat, LogSection};
use tracing_subscriber::EnvFilter;

/// Starts the log as configured.
pub(crate) fn start(section: &LogSection) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&section.level).with_context(|| {
        format!("log.level: '{}' is no filter; try info, debug or info,pabal_engine=debug", section.level)
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match section.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log can't be started: {error}"))
}

/// Starts the log for commands that have no configuration.
pub(crate) fn start_plain() -> anyhow::Result<()> {
    start(&LogSection::default())
}
