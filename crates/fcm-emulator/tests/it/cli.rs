//! The binary: what it prints, writes and refuses, and how it ends.

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::client::DEADLINE;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcm-emulator"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn fails(arguments: &[&str], expected: &[&str]) {
    let run = command(arguments).output();
    let Output { status, stderr, .. } = tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!status.success());
    for text in expected {
        assert!(stderr.contains(text), "{text:?} is not in {stderr}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn runs_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (account, ca) = (file("sa.json"), file("ca.pem"));
    let mut child = command(&[
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "--project",
        "one",
        "--project",
        "two",
        "--service-account-out",
        &account,
        "--ca-out",
        &ca,
    ])
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let greeting = async {
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.starts_with("FCM emulator listening on https://127.0.0.1:"), "{first}");
        assert!(first.ends_with("serving one, two"), "{first}");
        assert!(lines.next_line().await.unwrap().unwrap().contains(&account));
        assert!(lines.next_line().await.unwrap().unwrap().starts_with("Try this: curl --cacert "));
        assert!(lines.next_line().await.unwrap().unwrap().ends_with("/emulator/"));
    };
    tokio::time::timeout(DEADLINE, greeting).await.unwrap();
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&account).unwrap()).unwrap();
    assert_eq!(written["project_id"], "one");
    assert!(std::fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn what_is_refused_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("faults.json");
    std::fs::write(&faults, r#"{"rates": {"internal": 7}}"#).unwrap();
    let faults = faults.to_str().unwrap();
    fails(&["--listen", "0.0.0.0:9099"], &["0.0.0.0:9099 is not a loopback address"]).await;
    fails(&["--faults", faults], &[faults, "rates.internal: 7 is not between 0 and 1"]).await;
    fails(&["--faults", "/nowhere/faults.json"], &["cannot read the faults file /nowhere/faults.json"]).await;
    fails(&["--ca-out", "ca.pem"], &["--tls"]).await;

    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["--listen", &address], &[&address, "another program listens there"]).await;
}
