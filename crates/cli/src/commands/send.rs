//! `pabal send`: one notification through a running server, or a file of them.

mod batches;
mod file;
mod lines;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::{Map, Value, json};

use self::file::FileArgs;
use crate::client::{Connection, ServerArgs};
use crate::output::Output;

/// Send a notification through a running server, or a file of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    to: To,
    /// Shown in bold.
    #[arg(long)]
    title: Option<String>,
    /// Shown below it.
    #[arg(long)]
    body: Option<String>,
    /// For the app; repeat it for several.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    data: Vec<(String, String)>,
    /// URL of a picture.
    #[arg(long, value_name = "URL")]
    image: Option<String>,
    /// What a tap opens.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// transactional or bulk.
    #[arg(long)]
    lane: Option<String>,
    /// How long it is worth delivering.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    ttl: Option<i64>,
    /// Not before this time, as 2026-11-22T18:30:00+09:00.
    #[arg(long, value_name = "TIME")]
    send_at: Option<String>,
    /// Messages with the same key replace each other while the device is away.
    #[arg(long, value_name = "KEY")]
    collapse_key: Option<String>,
    /// The FCM project of a token, FID, topic or condition.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Have the provider check it, and deliver nothing.
    #[arg(long)]
    validate_only: bool,
    /// Makes a repeat safe: the same key and content are accepted once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    file: FileArgs,
}

/// For whom: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// All devices of a user; repeat it for several users.
    #[arg(long, value_name = "USER")]
    to_user: Vec<String>,
    /// One device of a user.
    #[arg(long, num_args = 2, value_names = ["USER", "DEVICE"])]
    to_device: Vec<String>,
    /// An FCM registration token.
    #[arg(long, value_name = "TOKEN")]
    to_token: Option<String>,
    /// A Firebase installation id.
    #[arg(long, value_name = "FID")]
    to_fid: Option<String>,
    /// A topic of FCM's own.
    #[arg(long, value_name = "TOPIC")]
    to_fcm_topic: Option<String>,
    /// A condition over FCM's own topics.
    #[arg(long, value_name = "CONDITION")]
    to_fcm_condition: Option<String>,
    /// Many notifications from a file, or - for standard input: one JSON object to a line, or one JSON array of them,
    /// each as the API takes it, with its own idempotency_key if it has one.
    #[arg(long, value_name = "FILE", value_parser = file::path, conflicts_with_all = OPTIONS_OF_ONE)]
    file: Option<PathBuf>,
}

/// What is said of one notification on the command line, and of each in a file there.
const OPTIONS_OF_ONE: [&str; 12] = [
    "title",
    "body",
    "data",
    "image",
    "link",
    "lane",
    "ttl",
    "send_at",
    "collapse_key",
    "project",
    "validate_only",
    "idempotency_key",
];

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("write it as KEY=VALUE".to_owned()),
    }
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    if let Some(path) = &args.to.file {
        return file::run(path, &args.file, &args.server, output).await;
    }
    args.file.refuse_without_file()?;
    let body = args.request();
    let mut connection = Connection::open(&args.server).await?;
    let key = args.idempotency_key.as_deref();
    let answer = connection.call(Method::POST, "/v1/notifications", Some(&body), key).await?;
    let replayed = answer.headers.contains_key("idempotency-replayed");
    let accepted = answer.expect_success()?;
    output.answer(&accepted, |accepted| as_text(accepted, replayed, &args.server))?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(accepted: &Value, replayed: bool, server: &ServerArgs) -> String {
    let id = accepted["id"].as_str().unwrap_or_default();
    let deliveries = match accepted["deliveries"].as_u64() {
        Some(1) => "1 delivery".to_owned(),
        Some(count) => format!("{count} deliveries"),
        None => "recipients are resolved when it is due".to_owned(),
    };
    let before = if replayed { " before, nothing is sent again" } else { "" };
    let server = server.as_option();
    format!("Accepted{before}: {id} ({deliveries})\nSee what comes of it: pabal status{server} {id}")
}

impl Args {
    /// The request's body: what was given and nothing else.
    fn request(&self) -> Value {
        let mut body = Map::from_iter([("to".to_owned(), self.to.as_json())]);
        let texts = [
            ("title", &self.title),
            ("body", &self.body),
            ("image", &self.image),
            ("link", &self.link),
            ("lane", &self.lane),
            ("send_at", &self.send_at),
            ("collapse_key", &self.collapse_key),
            ("project", &self.project),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                body.insert(name.to_owned(), json!(text));
            }
        }
        if let Some(ttl) = self.ttl {
            body.insert("ttl".to_owned(), json!(ttl));
        }
        if !self.data.is_empty() {
            let data: Map<String, Value> =
                self.data.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            body.insert("data".to_owned(), Value::Object(data));
        }
        if self.validate_only {
            body.insert("validate_only".to_owned(), json!(true));
        }
        Value::Object(body)
    }
}

impl To {
    fn as_json(&self) -> Value {
        if let [user, device] = self.to_device.as_slice() {
            return json!({ "device": { "user": user, "device": device } });
        }
        let literal = [
            ("token", &self.to_token),
            ("fid", &self.to_fid),
            ("fcm_topic", &self.to_fcm_topic),
            ("fcm_condition", &self.to_fcm_condition),
        ];
        for (name, address) in literal {
            if let Some(address) = address {
                return json!({ name: address });
            }
        }
        match self.to_user.as_slice() {
            [user] => json!({ "user": user }),
            users => json!({ "users": users }),
        }
    }
}
