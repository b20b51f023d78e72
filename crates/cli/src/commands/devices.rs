//! `pabal devices`: what people can be reached on, and what providers said of it.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, ServerArgs};
use crate::failure::Failure;
use crate::fields::{how_many, number, recipients, shortened, text};
use crate::listing::{HowMany, Listing};
use crate::moment::SpanArgs;
use crate::output::{Output, Table, plain};
use crate::path::{Query, segment};

/// Devices that the API restores in one request.
const RESTORE_DEVICES_MAX: usize = 1000;

/// Register, look at, remove and restore devices.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the devices of a user, or those that providers said are gone.
    List(ListArgs),
    /// Show a device.
    Get(OneArgs),
    /// Register a device, as apps do at each start.
    Put(PutArgs),
    /// Remove a device; what waits for it ends.
    Delete(OneArgs),
    /// Take marks back, so that devices are sent to again.
    Restore(RestoreArgs),
}

/// What providers said.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mark {
    /// The registration is gone.
    Retired,
    /// The token is none.
    Quarantined,
}

impl Mark {
    const fn word(self) -> &'static str {
        match self {
            Mark::Retired => "retired",
            Mark::Quarantined => "quarantined",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// All devices of this user. Without it, devices with a mark, oldest mark first.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["state", "reason", "since", "until"])]
    user: Option<String>,
    /// Those with this mark.
    #[arg(long)]
    state: Option<Mark>,
    /// Those that were marked for this reason, as UNREGISTERED.
    #[arg(long)]
    reason: Option<String>,
    /// By the time of the mark.
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    how_many: HowMany,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    name: Name,
}

/// Which device.
#[derive(Debug, clap::Args)]
struct Name {
    /// The user.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    user: String,
    /// The device's name among those of its user.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    device: String,
}

impl Name {
    fn path(&self) -> String {
        format!("/v1/users/{}/devices/{}", segment(&self.user), segment(&self.device))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    name: Name,
    /// android, ios or web.
    #[arg(long)]
    platform: String,
    #[command(flatten)]
    address: Address,
    /// The FCM project; without it the server's default.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// A language tag, as ko-KR.
    #[arg(long)]
    locale: Option<String>,
    /// A name of the IANA database, as Asia/Seoul.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

/// Where it is: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Address {
    /// Its FCM registration token.
    #[arg(long)]
    token: Option<String>,
    /// Its Firebase installation id.
    #[arg(long)]
    fid: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Devices by name, split at the first '/'.
    #[arg(value_name = "USER/DEVICE", value_parser = user_and_device, conflicts_with_all = ["state", "reason", "since", "until"])]
    devices: Vec<(String, String)>,
    /// All with this mark that the other options find.
    #[arg(long)]
    state: Option<Mark>,
    /// Those that were marked for this reason, as UNREGISTERED.
    #[arg(long, requires = "state")]
    reason: Option<String>,
    /// By the time of the mark.
    #[command(flatten)]
    span: SpanArgs,
}

fn user_and_device(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((user, device)) if !user.is_empty() && !device.is_empty() => {
            Ok((user.to_owned(), device.to_owned()))
        }
        _ => Err("write it as USER/DEVICE".to_owned()),
    }
}

const COLUMNS: &[&str] = &["user", "device", "platform", "project", "mark", "marked", "seen"];

const MARKED: Listing = Listing { path: "/v1/devices", plural: "devices", columns: COLUMNS, row };

fn row(device: &Value) -> Vec<String> {
    let mark = &device["mark"];
    let marked = format!("{} {}", text(mark, "kind"), text(mark, "reason"));
    let [user, name, platform, project, seen] =
        ["user", "device", "platform", "project", "seen_at"].map(|key| text(device, key).to_owned());
    vec![user, name, platform, project, marked.trim().to_owned(), text(mark, "at").to_owned(), seen]
}

pub(crate) async fn run(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::List(args) => list(args, output).await?,
        Command::Get(args) => {
            let device = Client::open(&args.server).await?.get(&args.name.path()).await?;
            output.answer(&device, as_text)?;
        }
        Command::Put(args) => put(args, output).await?,
        Command::Delete(args) => {
            Client::open(&args.server).await?.call(Method::DELETE, &args.name.path(), None).await?;
            let Name { user, device } = &args.name;
            let removed = json!({ "user": user, "device": device, "removed": true });
            output.answer(&removed, |_| format!("device {} of {} is removed", plain(device), plain(user)))?;
        }
        Command::Restore(args) => restore(args, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs, output: Output) -> Result<()> {
    let mut client = Client::open(&args.server).await?;
    if let Some(user) = &args.user {
        let devices = client.get(&format!("/v1/users/{}/devices", segment(user))).await?;
        return output.answer(&devices, |devices| {
            let mut table = Table::new(COLUMNS);
            crate::fields::items(devices, "devices").for_each(|device| table.row(row(device)));
            table.to_string()
        });
    }
    let (since, until) = (args.span.since(), args.span.until());
    let query = Query::default()
        .with("state", args.state.map(Mark::word))
        .with("reason", args.reason.as_deref())
        .with("since", since.as_deref())
        .with("until", until.as_deref());
    let rest = MARKED.show(&mut client, &query, args.how_many, output).await?;
    if !rest["since"].is_null() {
        output.note(&format!("to see what is marked from then on: --since {}", text(&rest, "since")));
    }
    Ok(())
}

async fn put(args: PutArgs, output: Output) -> Result<()> {
    let mut body =
        Map::from_iter([("channel".to_owned(), json!("fcm")), ("platform".to_owned(), json!(args.platform))]);
    let optional = [
        ("token", args.address.token),
        ("fid", args.address.fid),
        ("project", args.project),
        ("locale", args.locale),
        ("time_zone", args.time_zone),
    ];
    body.extend(optional.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
    let mut client = Client::open(&args.server).await?;
    let device = client.call(Method::PUT, &args.name.path(), Some(&Value::Object(body))).await?;
    output.answer(&device, as_text)
}

fn as_text(device: &Value) -> String {
    let mut lines = vec![format!("device {}", recipients(device))];
    let (project, platform) = (text(device, "project"), text(device, "platform"));
    lines.push(format!("  by {}, project {project}, {platform}", text(device, "channel")));
    for key in ["token", "fid", "locale", "time_zone", "created_at", "seen_at"] {
        if let Some(value) = device[key].as_str() {
            lines.push(format!(
                "  {:<12}{}",
                key.trim_end_matches("_at").replace('_', " "),
                plain(&shortened(value))
            ));
        }
    }
    let mark = &device["mark"];
    if !mark.is_null() {
        let (kind, reason, at) = (text(mark, "kind"), text(mark, "reason"), text(mark, "at"));
        lines.push(format!("  {kind} at {at}: {}; nothing is sent to it", plain(reason)));
    }
    lines.join("\n")
}

async fn restore(args: RestoreArgs, output: Output) -> Result<()> {
    let requests: Vec<Value> = match args.state {
        Some(state) => {
            let fields = [
                ("state", Some(state.word().to_owned())),
                ("reason", args.reason),
                ("since", args.span.since()),
                ("until", args.span.until()),
            ];
            vec![
                fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))).collect(),
            ]
        }
        None => args.devices.chunks(RESTORE_DEVICES_MAX).map(named).collect(),
    };
    if requests.is_empty() {
        return Err(Failure::Usage(
            "say which devices: by name as USER/DEVICE, or by their mark as --state retired".to_owned(),
        )
        .into());
    }
    let mut client = Client::open(&args.server).await?;
    let mut restored = 0;
    for request in &requests {
        restored +=
            number(&client.call(Method::POST, "/v1/devices/restore", Some(request)).await?, "restored");
    }
    output.answer(&json!({ "restored": restored }), |_| format!("{} restored", how_many(restored, "device")))
}

fn named(devices: &[(String, String)]) -> Value {
    let devices: Vec<Value> =
        devices.iter().map(|(user, device)| json!({ "user": user, "device": device })).collect();
    json!({ "devices": devices })
}
