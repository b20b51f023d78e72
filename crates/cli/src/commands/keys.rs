//! `pabal keys`: API keys made, listed and revoked. A key is shown when it is made, and never again.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::client::{Client, ServerArgs};
use crate::fields::{id, items, text};
use crate::listing::{HowMany, Listing};
use crate::moment::Moment;
use crate::output::{Output, plain};
use crate::path::Query;

/// Make, list and revoke API keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it; it is shown this once and kept nowhere.
    Create(CreateArgs),
    /// List keys, newest first, without their secrets.
    List(ListArgs),
    /// Revoke a key: whoever has it is refused from now on.
    Revoke(RevokeArgs),
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Send and take back notifications.
    Send,
    /// Look at everything.
    Read,
    /// Devices, users, dead letters.
    Manage,
    /// All of these, and keys.
    Admin,
}

impl Scope {
    const fn word(self) -> &'static str {
        match self {
            Scope::Send => "send",
            Scope::Read => "read",
            Scope::Manage => "manage",
            Scope::Admin => "admin",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What it is for, as "billing, production".
    #[arg(long)]
    name: String,
    /// What it may do; repeat it for several.
    #[arg(long, required = true, value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The app that it opens; without it that of the key in use.
    #[arg(long)]
    app: Option<String>,
    /// When it ends, as 90d from now or 2027-01-01T00:00:00Z; without it, never.
    #[arg(long, value_name = "WHEN")]
    expires: Option<Moment>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Those of this app; without it those of the app of the key in use.
    #[arg(long)]
    app: Option<String>,
    /// Revoked ones too.
    #[arg(long)]
    revoked: bool,
    #[command(flatten)]
    how_many: HowMany,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The key's id, as 'pabal keys list' shows it.
    #[arg(value_parser = id)]
    id: String,
    /// The app of the key; without it that of the key in use.
    #[arg(long)]
    app: Option<String>,
}

const LISTING: Listing = Listing {
    path: "/v1/keys",
    plural: "keys",
    columns: &["id", "name", "app", "scopes", "created", "last used", "expires", "revoked"],
    row: |key| {
        let [id, name, app] = ["id", "name", "app"].map(|field| text(key, field).to_owned());
        let times = ["created_at", "last_used_at", "expires_at", "revoked_at"];
        let times = times.map(|field| text(key, field).to_owned());
        [id, name, app, scopes(key)].into_iter().chain(times).collect()
    },
};

fn scopes(key: &Value) -> String {
    items(key, "scopes").filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Create(args) => create(args, output).await?,
        Command::List(args) => {
            let query = Query::default()
                .with("app", args.app.as_deref())
                .with("revoked", args.revoked.then_some("true"));
            let mut client = Client::open(&args.server).await?;
            LISTING.show(&mut client, &query, args.how_many, output).await?;
        }
        Command::Revoke(args) => {
            let path =
                Query::default().with("app", args.app.as_deref()).behind(&format!("/v1/keys/{}", args.id));
            Client::open(&args.server).await?.call(Method::DELETE, &path, None).await?;
            let revoked = json!({ "id": args.id, "revoked": true });
            output.answer(&revoked, |_| format!("key {} is revoked", args.id))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateArgs, output: Output) -> Result<()> {
    let scopes: Vec<&str> = args.scope.iter().map(|scope| scope.word()).collect();
    let mut body =
        Map::from_iter([("name".to_owned(), json!(args.name)), ("scopes".to_owned(), json!(scopes))]);
    if let Some(app) = &args.app {
        body.insert("app".to_owned(), json!(app));
    }
    if let Some(expires) = args.expires {
        body.insert("expires_at".to_owned(), json!(expires.on_from(Timestamp::now())));
    }
    // Once: a repeat would make another one.
    let mut client = Client::open(&args.server).await?;
    let answer = client.once(Method::POST, "/v1/keys", Some(&Value::Object(body))).await?;
    let made = answer.expect_success()?;
    output.note(&note(&made));
    output.answer(&made, |made| text(made, "key").to_owned())
}

/// What is said beside the key, so that standard output holds the key alone.
fn note(made: &Value) -> String {
    let until = made["expires_at"].as_str().map(|at| format!(", until {at}")).unwrap_or_default();
    let [id, name, app] = ["id", "name", "app"].map(|field| plain(text(made, field)));
    format!(
        "key {id} ({name}) for the app {app} may {}{until}; it is shown this once and kept nowhere",
        scopes_words(made)
    )
}

fn scopes_words(key: &Value) -> String {
    scopes(key).replace(',', ", ")
}
