//! `pabal migrate`: brings a store to the schema of this program, as the next start would.

use std::process::ExitCode;

use anyhow::Result;
use pabal_server::{Migrated, shown};
use serde_json::json;

use super::serve::explained;
use super::store::StoreArgs;
use crate::output::Output;

/// Bring the store to the newest schema, as the next start would.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let url = args.store.url(output)?;
    let opened = url.clone();
    let migrated = tokio::task::spawn_blocking(move || pabal_server::migrate(&opened)).await?;
    let Migrated { before, after } = migrated.map_err(|error| explained(&error))?;
    let store = shown(&url);
    let answer = json!({ "store": store, "schema_before": before, "schema_after": after });
    output.answer(&answer, |_| match before {
        0 => format!("{store} is made, with schema {after}"),
        before if before == after => format!("{store} has schema {after} already; nothing was changed"),
        before => format!("{store} is brought from schema {before} to schema {after}"),
    })?;
    Ok(ExitCode::SUCCESS)
}
