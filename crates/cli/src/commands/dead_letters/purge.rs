//! `pabal dead-letters purge`: removes them for good.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::NOT_DEAD;
use super::filter::FilterArgs;
use crate::client::{Client, ServerArgs};
use crate::confirm::ConfirmArgs;
use crate::failure::Failure;
use crate::fields::{how_many, id, number};
use crate::output::Output;
use crate::path::Query;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Dead letters by their ids.
    #[arg(value_name = "ID", value_parser = id, conflicts_with_all = ["all", "reason", "channel", "user", "notification", "since", "until"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every dead letter of the app.
    #[arg(long, conflicts_with_all = ["reason", "channel", "user", "notification", "since", "until"])]
    all: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let what = match (args.ids.len(), args.filter.is_empty(), args.all) {
        (0, true, false) => {
            let problem =
                "say which dead letters: by their ids, by a filter as --reason unregistered, or --all";
            return Err(Failure::Usage(problem.to_owned()).into());
        }
        (0, true, true) => "every dead letter of the app is to be removed".to_owned(),
        (0, false, _) => "every dead letter that fits is to be removed".to_owned(),
        (ids, ..) => format!("{} to be removed", how_many(ids as u64, "dead letter")),
    };
    args.confirm.ask(&what)?;
    let mut client = Client::open(&args.server).await?;
    let purged = match args.ids.as_slice() {
        [] => {
            let query = args.filter.query().with("confirm", args.all.then_some("all"));
            purge_found(&mut client, &query, output).await?
        }
        ids => purge_named(&mut client, ids).await?,
    };
    output.answer(&json!({ "purged": purged }), |_| words(purged))?;
    Ok(ExitCode::SUCCESS)
}

fn words(purged: u64) -> String {
    format!("{} removed", how_many(purged, "dead letter"))
}

/// Repeats the request while there is more: each removes what fits into its time, and the next goes on after it.
async fn purge_found(client: &mut Client, query: &Query, output: Output) -> Result<u64> {
    let (spinner, mut purged) = (output.spinner("removing"), 0);
    let mut next = query.clone();
    loop {
        let step = client.call(Method::DELETE, &next.behind("/v1/dead-letters"), None).await?;
        purged += number(&step, "purged");
        spinner.set_message(words(purged));
        spinner.tick();
        if step["more"] != json!(true) {
            spinner.finish_and_clear();
            return Ok(purged);
        }
        next = query.clone().with("cursor", step["next_cursor"].as_str());
    }
}

async fn purge_named(client: &mut Client, ids: &[String]) -> Result<u64> {
    let mut purged = 0;
    for id in ids {
        let removed = client.call(Method::DELETE, &format!("/v1/dead-letters/{id}"), None).await;
        if let Err(error) = removed {
            let failure: Failure = error.downcast()?;
            return Err(failure.advised(NOT_DEAD).at(&format!("{id} ({purged} removed before it)")).into());
        }
        purged += 1;
    }
    Ok(purged)
}
