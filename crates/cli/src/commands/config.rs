//! `pabal config check`: what a start would find wrong, as far as it shows without starting anything.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use pabal_server::{Config, ProjectReport, inspect, shown, taken};
use serde_json::{Value, json};

use super::serve::load;
use crate::failure::Failure;

/// Look at the configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check it, and show where each project sends.
    Check {
        /// The configuration file.
        #[arg(long, env = "PABAL_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(crate) fn run(command: &Command, json: bool) -> Result<ExitCode> {
    let Command::Check { config: file } = command;
    let config = load(file.as_deref(), json)?;
    let found = inspect(&config);
    let problems = found.iter().filter(|part| part.is_err()).count();
    if json {
        println!("{:#}", as_json(&config, &found));
    } else {
        print(&config, &found);
    }
    match problems {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(Failure::Configuration("1 problem was found".to_owned()).into()),
        many => Err(Failure::Configuration(format!("{many} problems were found")).into()),
    }
}

type Found = [Result<ProjectReport, pabal_server::shape::Misfit>];

fn print(config: &Config, found: &Found) {
    println!("listen  {}", config.listen);
    println!("store   {}", shown(&config.store));
    println!("log     {}", config.log.level);
    println!("queue   {}", config.queue.as_deref().map_or_else(|| "(the store)".to_owned(), shown));
    for part in found {
        match part {
            Ok(project) => {
                println!("project {} (Firebase {})", project.name, project.project_id);
                println!("        sends to     {}", project.sends_to);
                println!("        tokens from  {}", project.tokens_from);
                println!("        as           {}", project.client_email);
            }
            Err(problem) => println!("PROBLEM {problem}"),
        }
    }
    for note in taken(config) {
        println!("note    {note}: 'pabal serve' could not start beside it");
    }
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
        "tokens_from": project.tokens_from,
    })
}
