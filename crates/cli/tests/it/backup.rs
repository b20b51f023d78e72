//! `backup` and `migrate`: a copy taken under load loses nothing that was promised before it, and costs the server
//! nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fcm_emulator::{Emulator, Faults, Range};
use serde_json::Value;

use crate::load::{Client, DEADLINE, Load};
use crate::program::{Installation, pabal, run};

/// A server that accepts faster than it delivers, so that a copy holds work that is open.
async fn busy_installation() -> Installation {
    let installation = Installation::make().await;
    installation.configure(
        "listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'\n[engine]\nattempts_in_flight_max = 8",
    );
    let slow = Faults { latency_ms: Some(Range { min: 20, max: 40 }), ..Faults::default() };
    installation.emulator.set_faults(slow).unwrap();
    installation
}

/// The notifications that an emulator has received.
fn received(emulator: &Emulator) -> BTreeSet<String> {
    let mut received = BTreeSet::new();
    let mut after = 0;
    loop {
        let page = emulator.ids(after, 1000);
        let Some(last) = page.last() else { return received };
        after = last.cursor;
        received.extend(page.into_iter().map(|id| id.pabal_id.into()));
    }
}

fn backup(installation: &Installation, target: &Path) -> Command {
    pabal(&["backup", "--json", "--config", &installation.config(), &target.display().to_string()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_accepted_before_a_copy_under_load_is_delivered_after_its_restore() {
    let first = busy_installation().await;
    let served = first.serve();
    let mut load = Load::start(&served.url, &served.first_key);
    load.wait_for(300).await;
    let target = first.folder.path().join("copy.db");
    let mut command = backup(&first, &target);

    let promised = load.accepted();
    let (code, out, error) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    assert_eq!((code, error.as_str()), (0, ""));
    let copied: Value = serde_json::from_str(&out).unwrap();
    assert!(copied["notifications"].as_u64().unwrap() >= promised.len() as u64, "{copied}");
    assert_eq!(copied["bytes"].as_u64().unwrap(), target.metadata().unwrap().len());
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // The server goes on as if nothing had been.
    load.wait_for(load.accepted().len() + 100).await;
    let all = load.stop().await;
    assert!(all.len() > promised.len());
    let delivered = first.emulator.wait_for(all.len() as u64, DEADLINE).await.unwrap();
    assert_eq!((delivered.accepted, delivered.unique), (all.len() as u64, all.len() as u64));

    // Elsewhere, over the copy alone.
    let second = Installation::make().await;
    std::fs::rename(&target, second.folder.path().join("pabal.db")).unwrap();
    let restored = second.serve();
    assert_eq!(restored.first_key, "", "the keys are in the copy");
    let mut client = Client::connect(&restored.url, &served.first_key).await;
    let ending = async {
        for (_, id) in &promised {
            client.await_delivered(id).await;
        }
    };
    tokio::time::timeout(DEADLINE, ending).await.expect("everything in the copy comes to its end");
    let (before, after) = (received(&first.emulator), received(&second.emulator));
    assert!(promised.iter().all(|(_, id)| before.contains(id) || after.contains(id)));
    assert!(!after.is_empty(), "the copy held work that was open: without it this test shows nothing");
    let (number, id) = &promised[0];
    assert_eq!(&client.send(*number).await, id, "what was sent before the copy is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_server_at_rest_is_told_in_words() {
    let installation = Installation::make().await;
    drop(installation.serve());
    let target = installation.folder.path().join("copy.db");
    let arguments = ["backup", "--config", &installation.config(), &target.display().to_string()];
    let (code, out, error) = run(&mut pabal(&arguments));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(
        out.contains("copy.db and checked\n") && out.contains(" 0 notifications, 0 deliveries, in "),
        "{out}"
    );
    let (code, out, error) = run(&mut pabal(&arguments));
    assert_eq!((code, out.as_str()), (6, ""));
    assert!(error.contains("copy.db is there already, and is never written over"), "{error}");
}

#[test]
fn what_there_is_nothing_of_can_not_be_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("none.db").display());
    let target = folder.path().join("copy.db").display().to_string();
    let (code, _, error) = run(&mut pabal(&["backup", "--store", &store, &target]));
    assert_eq!(code, 6, "{error}");
    assert!(error.contains("there is no database at"), "{error}");
    let (code, _, error) = run(&mut pabal(&["backup", "--store", "mysql://u:secret@h/d", &target]));
    assert_eq!(code, 6, "{error}");
    assert!(error.contains("'mysql://' is not a store here") && !error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_migrated_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pabal.db");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/sqlite/tests/fixtures/v1.db");
    std::fs::copy(fixture, &path).unwrap();
    let store = format!("sqlite://{}", path.display());
    let migrate =
        |arguments: &[&str]| run(&mut pabal(&[&["migrate", "--store", &store], arguments].concat()));
    let (code, out, error) = migrate(&["--json"]);
    assert_eq!((code, error.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["schema_before"], &answer["store"]), (&Value::from(1), &Value::from(store.as_str())));
    let newest = answer["schema_after"].as_i64().unwrap();
    let (code, out, _) = migrate(&[]);
    assert_eq!((code, out), (0, format!("{store} has schema {newest} already; nothing was changed\n")));
    std::fs::remove_file(&path).unwrap();
    let (code, out, _) = migrate(&[]);
    assert_eq!((code, out), (0, format!("{store} is made, with schema {newest}\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_in_use_or_too_new_is_left_alone() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let migrate = || run(&mut pabal(&["migrate", "--config", &installation.config()]));
    let (code, _, error) = migrate();
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("pabal.db is in use by another process"), "{error}");
    let mut served = served;
    assert!(Command::new("kill").args(["-TERM", &served.child.id().to_string()]).status().unwrap().success());
    served.child.wait().unwrap();
    // The schema's number as SQLite keeps it: sqlite.org/fileformat.html, "User Version".
    let path = installation.folder.path().join("pabal.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let config = installation.config();
    for command in [&["migrate"][..], &["backup", "copy.db"]] {
        let arguments = [command, &["--config", &config]].concat();
        let (code, _, error) = run(pabal(&arguments).current_dir(installation.folder.path()));
        assert_eq!(code, 6, "{error}");
        assert!(
            error.contains("the database has schema 99, and this program knows schemas up to"),
            "{error}"
        );
    }
}
