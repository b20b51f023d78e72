//! `serve`: starts, stops on a signal, and says what keeps it from starting.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

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
