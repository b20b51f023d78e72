//! `pabal apps`: the namespaces of a server.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::json;

use crate::client::{Client, ServerArgs};
use crate::fields::text;
use crate::listing::{HowMany, Listing};
use crate::output::Output;
use crate::path::Query;

/// Make and list apps: namespaces that see nothing of each other.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make an app.
    Create(CreateArgs),
    /// List the apps of this server.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Its name: small letters, digits and '-'.
    name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
}

const LISTING: Listing = Listing {
    path: "/v1/apps",
    plural: "apps",
    columns: &["name"],
    row: |app| vec![text(app, "name").to_owned()],
};

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Create(args) => {
            let mut client = Client::open(&args.server).await?;
            let answer = client.once(Method::POST, "/v1/apps", Some(&json!({ "name": args.name }))).await?;
            let made = answer.expect_success().map_err(|failure| failure.advised("See 'pabal apps list'"))?;
            output.answer(&made, |made| {
                let (name, server) = (text(made, "name"), args.server.as_option());
                format!(
                    "app {name} is made\nMake its first key: pabal keys create{server} --app {name} --name first --scope admin"
                )
            })?;
        }
        Command::List(args) => {
            let mut client = Client::open(&args.server).await?;
            LISTING.show(&mut client, &Query::default(), HowMany::ALL, output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
