//! `serve`: starts, stops on a signal, and says what keeps it from starting.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use fcm_emulator::{Faults, Range};

use crate::program::{Installation, pabal, run};

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_its_first_key_once_and_stops_on_sigterm() {
    let installation = Installation::make().await;
    let mut served = installation.serve();
    assert!(served.first_key.starts_with("pabal_"));
    let killed = Command::new("kill").args(["-TERM", &served.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert_eq!(installation.serve().first_key, "", "the second start makes no key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_ends_with_4_and_a_way_out() {
    let installation = Installation::make().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut command = pabal(&["serve", "--config", &installation.config()]);
    let (code, out, error) = run(command.env("PABAL_LISTEN", &listen));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(error.contains(&format!("can't listen on {listen}")), "{error}");
    assert!(error.contains("choose another port with listen (PABAL_LISTEN)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_ends_with_4_and_its_name() {
    let installation = Installation::make().await;
    let _served = installation.serve();
    let (code, _, error) = run(&mut pabal(&["serve", "--config", &installation.config()]));
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("pabal.db is in use by another process"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_no_database_ends_with_6_and_is_left_alone() {
    let installation = Installation::make().await;
    std::fs::write(installation.folder.path().join("notes.txt"), "no database").unwrap();
    let cases = [
        ("sqlite://notes.txt", "another file than a SQLite database"),
        ("sqlite://.", "is a folder"),
        ("sqlite://nowhere/pabal.db", "there is no folder"),
    ];
    for (store, problem) in cases {
        installation.configure(&format!("listen = '127.0.0.1:0'\nstore = '{store}'"));
        let (code, _, error) = run(&mut pabal(&["serve", "--config", &installation.config()]));
        assert_eq!(code, 6, "{error}");
        assert!(error.contains(problem), "{error}");
        let (code, out, _) = run(&mut pabal(&["config", "check", "--config", &installation.config()]));
        assert_eq!(code, 6);
        assert!(out.contains("PROBLEM store: ") && out.contains(problem), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let installation = Installation::make().await;
    let slow = Faults { latency_ms: Some(Range { min: 60_000, max: 60_000 }), ..Faults::default() };
    installation.emulator.set_faults(slow).unwrap();
    let mut command = pabal(&["serve", "--json", "--config", &installation.config()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&greeting).unwrap();
    let mut send = pabal(&["send", "--to-token", "t", "--title", "t"]);
    send.env("PABAL_URL", greeting["url"].as_str().unwrap());
    send.env("PABAL_API_KEY", greeting["first_key"].as_str().unwrap());
    assert_eq!(run(&mut send).0, 0);
    let id = child.id().to_string();
    let terminate = || Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(terminate().success());
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("asked once more, it ends at once") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    assert!(terminate().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_key_is_said_and_never_shown() {
    let installation = Installation::make().await;
    let key = "a-key-of-twenty-four-chars";
    let mut command = pabal(&["serve", "--config", &installation.config()]);
    let mut child = command.env("PABAL_API_KEY", key).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("Admin key")).unwrap().unwrap();
    assert_eq!(line, "Admin key: from PABAL_API_KEY");
    child.kill().and_then(|()| child.wait()).unwrap();
}

#[test]
fn a_configuration_that_is_not_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pabal.toml"), "").unwrap();
    let (_, _, error) = run(pabal(&["config", "check"]).current_dir(folder.path()));
    assert!(error.starts_with("pabal: there is a pabal.toml here, and it is not read"), "{error}");
}

#[test]
fn the_emulator_ends_with_the_codes_of_serve() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32); 5] = [
        (&["--listen", &listen], 4),
        (&["--listen", "0.0.0.0:0"], 6),
        (&["--faults", "/nowhere/faults.json"], 6),
        (&["--listen", "127.0.0.1:0", "--project", "a b"], 6),
        (&["--seed", "x"], 2),
    ];
    for (options, expect) in cases {
        let arguments = [&["emulator", "fcm"], options].concat();
        let (code, _, error) = run(&mut pabal(&arguments));
        assert_eq!(code, expect, "{error}");
    }
}

#[test]
fn nothing_to_send_through_ends_with_6_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) =
        run(pabal(&["serve"]).current_dir(folder.path()).env("PABAL_LISTEN", "127.0.0.1:0"));
    assert_eq!(code, 6, "{error}");
    assert!(error.contains("fcm.projects: there is none") && error.contains("serve --demo"), "{error}");
}

#[test]
fn the_emulator_runs_by_itself() {
    let mut child =
        pabal(&["emulator", "fcm", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("FCM emulator listening on http://127.0.0.1:"), "{line}");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
