//! The log of `serve`: one flat JSON object a line for collectors, and the id of a request in every line that the request
//! leads to.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Installation, pabal, run};

/// Runs a server with these arguments and this environment until it has answered the client's commands; gives its log.
fn log_of(
    installation: &Installation,
    arguments: &[&str],
    variables: &[(&str, &str)],
    clients: &[&[&str]],
) -> String {
    let path = installation.folder.path().join("log");
    let mut command = pabal(&["serve", "--json", "--config", &installation.config()]);
    command.args(arguments).envs(variables.iter().copied());
    let log = File::create(&path).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let greeting: Value = serde_json::from_str(&greeting).unwrap();
    for client in clients {
        let mut command = pabal(client);
        command.env("PABAL_URL", greeting["url"].as_str().unwrap());
        run(command.env("PABAL_API_KEY", greeting["first_key"].as_str().unwrap()));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    std::fs::read_to_string(&path).unwrap()
}

fn parsed(log: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_one_flat_object() {
    let installation = Installation::make().await;
    // The flags win over the variables, and these over the file.
    installation.configure(
        "listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'\n[log]\nlevel = 'off'\nformat = 'text'",
    );
    let clients: [&[&str]; 3] = [
        &["send", "--to-token", "t", "--title", "t"],
        &["status"],
        &["status", "0192f0c1-2345-7abc-8def-0123456789ab"],
    ];
    let variables = [("PABAL_LOG_LEVEL", "error"), ("PABAL_LOG_FORMAT", "text")];
    let log = log_of(&installation, &["--log-format", "json", "--log-level", "debug"], &variables, &clients);
    let lines = parsed(&log);
    for line in &lines {
        let fields = line.as_object().unwrap();
        let texts = ["timestamp", "level", "target", "message"].map(|name| fields[name].is_string());
        assert_eq!(texts, [true; 4], "{line}");
        assert!(fields.values().all(|value| !value.is_object() && !value.is_array()), "{line}");
    }
    let of_requests: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request").collect();
    let routes: Vec<&str> = of_requests.iter().filter_map(|line| line["route"].as_str()).collect();
    for route in ["/v1/notifications", "/readyz", "/v1/notifications/{id}"] {
        assert!(routes.contains(&route), "{routes:?}");
    }
    for line in of_requests {
        let named = line["request_id"].as_str().is_some_and(|id| id.len() == 16);
        assert!(
            named && line["took_ms"].is_u64() && line["status"].is_u64() && line["level"] == "DEBUG",
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_win_over_the_file() {
    let installation = Installation::make().await;
    installation.configure("listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'\n[log]\nlevel = 'off'");
    let log =
        log_of(&installation, &["--log-format", "json"], &[("PABAL_LOG_LEVEL", "info")], &[&["status"]]);
    let lines = parsed(&log);
    assert!(lines.iter().any(|line| line["message"] == "listening"), "{log}");
    assert!(lines.iter().all(|line| line["message"] != "request"), "requests are debug: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_leads_to_bears_its_id() {
    let installation = Installation::make().await;
    installation.configure("listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db?pages_max=200'");
    let body = "x".repeat(1000);
    let send: &[&str] = &["send", "--to-token", "t", "--title", &body];
    let log = log_of(&installation, &["--log-format", "json"], &[], &[send; 100]);
    let lines = parsed(&log);
    let failed = lines.iter().find(|line| line["message"] == "a request failed").expect("the store is full");
    assert!(failed["cause"].is_string() && failed["level"] == "WARN", "{failed}");
    let id = failed["request_id"].as_str().unwrap();
    let of_id: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == id).collect();
    assert!(of_id.len() >= 2 && of_id.iter().any(|line| line["status"] == 503), "{of_id:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_is_said() {
    let installation = Installation::make().await;
    let mut command = pabal(&["serve", "--log-format", "json", "--config", &installation.config()]);
    command.env("PABAL_RETENTION_DISK_FREE_WARN_MB", "9999999999999");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find(|line| line.contains("the store's disk fills up"));
    child.kill().and_then(|()| child.wait()).unwrap();
    let said: Value = serde_json::from_str(&said.expect("it is said before the log ends")).unwrap();
    assert!(said["free_mb"].is_u64() && said["used_mb"].is_u64() && said["level"] == "WARN", "{said}");
}

#[test]
fn a_level_that_is_none_is_a_wrong_command_line() {
    let (code, out, error) = run(&mut pabal(&["serve", "--log-level", "inof"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("--log-level") && error.contains("error, warn, info"), "{error}");
}
