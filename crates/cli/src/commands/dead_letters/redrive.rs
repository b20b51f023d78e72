//! `pabal dead-letters redrive`: begins redrives, shows them, stops one.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use super::NOT_DEAD;
use super::filter::FilterArgs;
use super::follow::{Followed, PATH, as_text, follow, is_running, where_to_look};
use crate::client::{Client, ServerArgs};
use crate::failure::Failure;
use crate::fields::{count, how_many, id, text};
use crate::listing::{HowMany, Listing};
use crate::output::Output;
use crate::path::Query;
use crate::signals::{Stop, exit_code};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    begin: BeginArgs,
}

#[derive(Debug, clap::Args)]
struct BeginArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Dead letters by their ids: deliveries, or notifications that died whole.
    #[arg(value_name = "ID", value_parser = id, conflicts_with_all = ["all", "reason", "channel", "user", "notification", "since", "until"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All that are dead now.
    #[arg(long, conflicts_with_all = ["reason", "channel", "user", "notification", "since", "until"])]
    all: bool,
    /// How many to open a second.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Stay until it is done. Ctrl-C leaves it running on the server.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how redrives stand: one of them, or all, newest first.
    Status {
        #[command(flatten)]
        server: ServerArgs,
        /// The redrive.
        #[arg(value_parser = id)]
        id: Option<String>,
    },
    /// Stop a redrive; what it has opened stays open.
    Stop {
        #[command(flatten)]
        server: ServerArgs,
        /// The redrive.
        #[arg(value_parser = id)]
        id: String,
    },
}

const LISTING: Listing = Listing {
    path: PATH,
    plural: "redrives",
    columns: &["id", "state", "reopened", "total", "rate", "began", "ended", "filter"],
    row: |job| {
        let total = if job["total"].is_null() { String::new() } else { count(job, "total") };
        let filter = job["filter"].as_object().into_iter().flatten();
        let filter: Vec<String> =
            filter.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
        let [id, state, began, ended] =
            ["id", "state", "created_at", "finished_at"].map(|key| text(job, key).to_owned());
        vec![id, state, count(job, "reopened"), total, count(job, "rate"), began, ended, filter.join(" ")]
    },
};

pub(super) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    match args.command {
        None => return begin(args.begin, output).await,
        Some(Command::Status { server, id: None }) => {
            let mut client = Client::open(&server).await?;
            LISTING.show(&mut client, &Query::default(), HowMany::ALL, output).await?;
        }
        Some(Command::Status { server, id: Some(id) }) => {
            let job = Client::open(&server).await?.get(&format!("{PATH}/{id}")).await?;
            output.answer(&job, as_text)?;
        }
        Some(Command::Stop { server, id }) => {
            let mut client = Client::open(&server).await?;
            let job = client.call(Method::DELETE, &format!("{PATH}/{id}"), None).await?;
            output.answer(&job, as_text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn begin(args: BeginArgs, output: Output) -> Result<ExitCode> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all {
        let problem = "say which dead letters: by their ids, by a filter as --reason unregistered, or --all";
        return Err(Failure::Usage(problem.to_owned()).into());
    }
    let mut stop = Stop::listen()?;
    let mut client = Client::open(&args.server).await?;
    let begun = Begun::begin(&mut client, &args, &mut stop, output).await?;
    let jobs = match begun.jobs {
        jobs if args.wait && !jobs.is_empty() => {
            match follow(&mut client, jobs.clone(), &mut stop, output).await {
                Ok(Followed::Ended(jobs)) => jobs,
                Ok(Followed::Left(code)) => {
                    output.note(&where_to_look(&jobs, &args.server));
                    output.answer(&json!({ "redrives": jobs }), |_| String::new())?;
                    return Ok(exit_code(code));
                }
                Err(error) => return Err(error.context(where_to_look(&jobs, &args.server))),
            }
        }
        jobs => jobs,
    };
    let answer = json!({ "redrives": jobs });
    output.answer(&answer, |_| jobs.iter().map(|job| format!("{}\n", as_text(job))).collect())?;
    if !args.wait && jobs.iter().any(is_running) {
        output.note(&where_to_look(&jobs, &args.server));
    }
    if let Some(failure) = begun.failure {
        return Err(failure.into());
    }
    if args.wait && jobs.iter().any(|job| text(job, "state") == "stopped") {
        return Err(Failure::Refused("it was stopped before it was done".to_owned()).into());
    }
    Ok(ExitCode::SUCCESS)
}

/// What was begun, and what was not.
struct Begun {
    jobs: Vec<Value>,
    failure: Option<Failure>,
}

impl Begun {
    /// Begins one redrive for a filter, or one for each id. An id that can't be redriven harms no other.
    async fn begin(client: &mut Client, args: &BeginArgs, stop: &mut Stop, output: Output) -> Result<Self> {
        let mut begun = Self { jobs: Vec::new(), failure: None };
        if args.ids.is_empty() {
            let job = post(client, &args.filter.json(), args.rate).await?;
            begun.jobs.push(job?);
            return Ok(begun);
        }
        let mut refused = 0;
        for id in &args.ids {
            match begun.begin_one(client, id, args.rate, stop, output).await? {
                Ok(job) => begun.jobs.push(job),
                Err(failure) if args.ids.len() == 1 => return Err(failure.into()),
                Err(failure) => {
                    refused += 1;
                    match &begun.failure {
                        None => begun.failure = Some(failure),
                        Some(_) => output.note(&failure.to_string()),
                    }
                }
            }
        }
        let of_all =
            format!("{refused} of {} not redriven, the first", how_many(args.ids.len() as u64, "id"));
        begun.failure = begun.failure.map(|failure| failure.at(&of_all));
        Ok(begun)
    }

    /// Begins that of one id. Where too many run, those that were begun here are waited for first.
    async fn begin_one(
        &mut self,
        client: &mut Client,
        id: &str,
        rate: u32,
        stop: &mut Stop,
        output: Output,
    ) -> Result<Result<Value, Failure>> {
        let begun = match post(client, &json!({ "delivery": id }), rate).await? {
            Err(Failure::NotFound(_)) => post(client, &json!({ "notification": id }), rate).await?,
            Err(Failure::LimitReached(_)) if self.jobs.iter().any(is_running) => {
                match follow(client, std::mem::take(&mut self.jobs), stop, output).await? {
                    Followed::Ended(jobs) => self.jobs = jobs,
                    Followed::Left(_) => {
                        return Err(Failure::Unavailable(format!("left before {id} was redriven")).into());
                    }
                }
                post(client, &json!({ "delivery": id }), rate).await?
            }
            begun => begun,
        };
        Ok(begun.map_err(|failure| failure.advised(NOT_DEAD).at(id)))
    }
}

/// Once: a repeat would begin another one.
async fn post(client: &mut Client, filter: &Value, rate: u32) -> Result<Result<Value, Failure>> {
    let answer = client.once(Method::POST, PATH, Some(&json!({ "filter": filter, "rate": rate }))).await?;
    Ok(answer.expect_success())
}
