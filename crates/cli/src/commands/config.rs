//! `pabal config check`: what a start would find wrong, as far as it shows without starting anything; and
//! `pabal config reference`: what can be configured.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use pabal_server::config::render;
use pabal_server::{Config, ProjectReport, certificate, inspect, shown, taken};
use serde_json::{Value, json};

use super::serve::load;
use crate::failure::Failure;
use crate::output::Output;

/// Check the configuration, or print what can be configured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check the configuration, and show where each project sends.
    Check {
        /// The configuration file.
        #[arg(long, env = "PABAL_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print every key that there is, with its default, its limits and its variable.
    Reference {
        /// As a configuration file to begin with: every key with its default, switched off by a '#'.
        #[arg(long, conflicts_with = "json")]
        toml: bool,
    },
}

pub(crate) fn run(command: &Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Check { config } => check(config.as_deref(), output),
        Command::Reference { toml } => reference(*toml, output),
    }
}

fn reference(toml: bool, output: Output) -> Result<ExitCode> {
    output.answer(&render::json(), |_| if toml { render::toml() } else { render::markdown() })?;
    Ok(ExitCode::SUCCESS)
}

fn check(file: Option<&Path>, output: Output) -> Result<ExitCode> {
    let config = load(file, output)?;
    let found = inspect(&config);
    output.answer(&as_json(&config, &found), |_| as_text(&config, &found))?;
    match found.iter().filter(|part| part.is_err()).count() {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(Failure::Configuration("1 problem was found".to_owned()).into()),
        many => Err(Failure::Configuration(format!("{many} problems were found")).into()),
    }
}

type Found = [Result<ProjectReport, pabal_server::shape::Misfit>];

fn as_text(config: &Config, found: &Found) -> String {
    let queue = config.queue.as_deref().map_or_else(|| "(the store)".to_owned(), shown);
    let mut lines = vec![
        format!("listen  {}", config.listen),
        format!("store   {}", shown(&config.store)),
        format!("log     {}", config.log.level),
        format!("queue   {queue}"),
        format!("tls     {}", tls_line(config)),
    ];
    for part in found {
        match part {
            Ok(project) => lines.extend(project_lines(project)),
            Err(problem) => lines.push(format!("PROBLEM {problem}")),
        }
    }
    let note = |note| format!("note    {note}: 'pabal serve' could not start beside it");
    lines.extend(taken(config).into_iter().map(note));
    lines.join("\n")
}

fn tls_line(config: &Config) -> String {
    let Some(path) = &config.tls.certificate else { return "off".to_owned() };
    let ends = certificate(config).map_or_else(String::new, |report| match report.expires_at {
        Some(at) if report.is_expired => format!(", which EXPIRED at {at}"),
        Some(at) => format!(", valid until {at}"),
        None => String::new(),
    });
    format!("{}{ends}", path.display())
}

fn tls_json(config: &Config) -> Value {
    certificate(config).map_or(Value::Null, |report| {
        json!({ "certificate": report.path, "expires_at": report.expires_at, "is_expired": report.is_expired })
    })
}

fn project_lines(project: &ProjectReport) -> [String; 4] {
    let (sends_through, tokens_through) = (&project.sends_through, &project.tokens_through);
    [
        format!("project {} (Firebase {})", project.name, project.project_id),
        format!("        sends to     {}{}", project.sends_to, through(sends_through.as_deref())),
        format!("        tokens from  {}{}", project.tokens_from, through(tokens_through.as_deref())),
        format!("        as           {}", project.client_email),
    ]
}

fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through proxy {proxy}")).unwrap_or_default()
}

fn as_json(config: &Config, found: &Found) -> Value {
    let projects: Vec<Value> = found.iter().flatten().map(project_json).collect();
    let problems: Vec<Value> = found
        .iter()
        .filter_map(|part| part.as_ref().err())
        .map(|problem| json!({ "key": problem.path, "problem": problem.to_string() }))
        .collect();
    json!({
        "listen": config.listen.to_string(),
        "store": shown(&config.store),
        "queue": config.queue.as_deref().map(shown),
        "tls": tls_json(config),
        "projects": projects,
        "problems": problems,
        "taken": taken(config),
    })
}

fn project_json(project: &ProjectReport) -> Value {
    json!({
        "name": project.name.as_str(),
        "project_id": project.project_id,
        "client_email": project.client_email,
        "sends_to": project.sends_to,
        "sends_through": project.sends_through,
        "tokens_from": project.tokens_from,
        "tokens_through": project.tokens_through,
    })
}
