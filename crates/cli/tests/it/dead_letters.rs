//! `dead-letters`: from the death of a delivery to its arrival, or its removal.

use std::process::{Command, Stdio};

use fcm_emulator::FaultKind;
use serde_json::{Value, json};

use crate::answers::{UNKNOWN, set_faults, with_faults};
use crate::front::{Front, Move};
use crate::load::DEADLINE;
use crate::program::Served;

const GONE: [(&str, FaultKind); 1] = [("gone-", FaultKind::Unregistered)];

async fn dead(served: &Served, count: u64) -> Value {
    let is_so = |seen: &Value| seen["deliveries"]["dead"] == count;
    served.until(&["stats"], is_so).await;
    served.json(&["dead-letters", "list", "--all"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_is_found_understood_and_delivered_after_all() {
    let installation = with_faults(&GONE).await;
    let served = installation.serve();
    served.json(&["devices", "put", "ann", "phone", "--platform", "ios", "--token", "gone-1"]);
    let notification = served.sent(&["--to-user", "ann"]);
    let listed = dead(&served, 1).await;
    let id = listed["dead_letters"][0]["id"].as_str().unwrap();
    assert_eq!(
        (&listed["dead_letters"][0]["notification"], &listed["next_cursor"]),
        (&json!(notification), &Value::Null)
    );

    let table = served
        .told(&["dead-letters", "list", "--user", "ann", "--reason", "unregistered", "--since", "1h"], "");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].contains("  DIED "), "{table}");
    assert!(
        lines[1].starts_with(id) && lines[1].contains("  user ann, device phone  1         404 UNREGISTERED"),
        "{table}"
    );
    served.told(&["dead-letters", "list", "--until", "1h"], "there are no such dead letters");

    let shown = served.told(&["dead-letters", "show", id], "");
    assert!(shown.starts_with(&format!("delivery {id}  dead (unregistered) after 1 attempt\n")), "{shown}");
    assert!(shown.contains("  1. ") && shown.contains(" 404 UNREGISTERED  "), "{shown}");
    assert_eq!(served.json(&["dead-letters", "show", id])["timeline"][0]["number"], 1);

    set_faults(&installation, &[]);
    served.json(&["devices", "restore", "ann/phone"]);
    let redriven = served.told(&["dead-letters", "redrive", id, "--wait"], "");
    assert!(redriven.contains(" done: 1 of 1 reopened, 100 a second at most\n"), "{redriven}");
    served.until(&["status", &notification], |seen| seen["counts"] == json!({ "delivered": 1 })).await;
    served.fails(&["dead-letters", "show", id], 3, "is delivered, not dead");
    served.fails(&["dead-letters", "redrive", id], 3, "'pabal status ID' shows how it stands");
    served.fails(&["dead-letters", "purge", id, "--yes"], 3, "is delivered, not dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_redriven_one_by_one_more_than_may_run_at_once() {
    let installation = with_faults(&GONE).await;
    let served = installation.serve();
    for number in 0..12 {
        served.sent(&["--to-token", &format!("gone-{number}")]);
    }
    let listed = dead(&served, 12).await;
    set_faults(&installation, &[]);
    let ids: Vec<&str> = listed["dead_letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["id"].as_str().unwrap())
        .collect();
    let arguments = [&["dead-letters", "redrive", "--wait"], ids.as_slice()].concat();
    let redrives = served.json(&arguments);
    let states: Vec<&Value> =
        redrives["redrives"].as_array().unwrap().iter().map(|job| &job["state"]).collect();
    assert_eq!(states, vec!["done"; 12]);
    served.until(&["stats"], |seen| seen["deliveries"] == json!({ "delivered": 12 })).await;
    // The second may not begin before the first has ended.
    let too_many = Move::Answer { status: 409, kind: "limit_reached", retry_after_s: 1 };
    set_faults(&installation, &GONE);
    served.sent(&["--to-token", "gone-1"]);
    served.sent(&["--to-token", "gone-2"]);
    let listed = dead(&served, 2).await;
    let front = Front::start(&served.url, [Move::Pass, too_many]).await;
    let [one, two] = [0, 1].map(|at: usize| listed["dead_letters"][at]["id"].as_str().unwrap());
    let redrives = served.json(&["dead-letters", "redrive", one, two, "--url", &front.url]);
    assert_eq!(redrives["redrives"].as_array().unwrap().len(), 2, "{redrives}");
    assert_eq!(redrives["redrives"][0]["state"], "done");
    served.fails(&["dead-letters", "redrive", UNKNOWN], 5, "there is no such");
    served.fails(&["dead-letters", "redrive", UNKNOWN, ids[0]], 5, "2 of 2 ids not redriven");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_is_looked_at_left_and_stopped() {
    let installation = with_faults(&GONE).await;
    let served = installation.serve();
    let lines: String =
        (0..200).map(|n| format!("{{\"to\":{{\"token\":\"gone-{n}\"}},\"title\":\"t\"}}\n")).collect();
    let file = installation.folder.path().join("many.ndjson");
    std::fs::write(&file, lines).unwrap();
    served.json(&["send", "--file", file.to_str().unwrap()]);
    dead(&served, 200).await;
    let begun = served.told(&["dead-letters", "redrive", "--all", "--rate", "1"], "redrive stop");
    let id = begun.split_whitespace().nth(1).unwrap().to_owned();
    assert!(begun.contains(" running: "), "{begun}");
    assert_eq!(served.json(&["dead-letters", "redrive", "status", &id])["state"], "running");
    let table = served.told(&["dead-letters", "redrive", "status"], "");
    assert!(table.lines().nth(1).unwrap().starts_with(&format!("{id}  running  ")), "{table}");

    // One that is waited for goes on when nobody waits any more.
    let wait = ["dead-letters", "redrive", "--reason", "unregistered", "--rate", "1", "--wait"];
    let mut command = tokio::process::Command::from(served.client(&wait));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let running = |seen: &Value| {
        seen["redrives"].as_array().unwrap().iter().filter(|job| job["state"] == "running").count() == 2
    };
    let all = served.until(&["dead-letters", "redrive", "status"], running).await;
    let waited_for = all["redrives"][0]["id"].as_str().unwrap().to_owned();
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(
        said.contains(&format!("redrive status {waited_for}")) && said.contains("redrive stop"),
        "{said}"
    );
    assert_eq!(served.json(&["dead-letters", "redrive", "status", &waited_for])["state"], "running");

    for id in [&id, &waited_for] {
        let stopped = served.told(&["dead-letters", "redrive", "stop", id], "");
        assert!(stopped.starts_with(&format!("redrive {id} stopped: ")), "{stopped}");
    }
    served.fails(&["dead-letters", "redrive", "stop", UNKNOWN], 5, "there is no such redrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_stopped_is_no_success_to_whoever_waits() {
    let installation = with_faults(&GONE).await;
    let served = installation.serve();
    for number in 0..3 {
        served.sent(&["--to-token", &format!("gone-{number}")]);
    }
    dead(&served, 3).await;
    let mut command = served.client(&["dead-letters", "redrive", "--all", "--rate", "1", "--wait"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let listed =
        served.until(&["dead-letters", "redrive", "status"], |seen| seen["redrives"] != json!([])).await;
    served.json(&["dead-letters", "redrive", "stop", listed["redrives"][0]["id"].as_str().unwrap()]);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("it was stopped before it was done"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_was_meant() {
    let installation =
        with_faults(&[("gone-", FaultKind::Unregistered), ("other-", FaultKind::SenderMismatch)]).await;
    let served = installation.serve();
    for token in ["gone-1", "gone-2", "other-1", "other-2", "other-3"] {
        served.sent(&["--to-token", token]);
    }
    let listed = dead(&served, 5).await;
    served.fails(&["dead-letters", "purge"], 2, "say which dead letters: by their ids");
    served.fails(&["dead-letters", "purge", "--all"], 2, "add --yes");
    served.fails(&["dead-letters", "purge", "--all", "--reason", "unregistered"], 2, "cannot be used with");
    served.fails(&["dead-letters", "redrive"], 2, "say which dead letters: by their ids");
    served.fails(&["dead-letters", "list", "--reason", "no_device"], 3, "not dead");
    served.fails(&["dead-letters", "list", "--since", "yesterday"], 2, "as 30m, 2h, 3d or 1w");
    served.fails(&["dead-letters", "show", "x"], 2, "is no id");
    served.fails(&["dead-letters", "show", UNKNOWN], 5, "there is no such dead letter");
    assert_eq!(dead(&served, 5).await, listed, "nothing of this removed anything");

    assert_eq!(
        served.json(&["dead-letters", "purge", "--reason", "unregistered", "--yes"]),
        json!({ "purged": 2 })
    );
    let id = listed["dead_letters"][0]["id"].as_str().unwrap();
    assert_eq!(served.told(&["dead-letters", "purge", id, "-y"], ""), "1 dead letter removed\n");
    assert_eq!(served.told(&["dead-letters", "purge", "--all", "--yes"], ""), "2 dead letters removed\n");
    assert_eq!(served.json(&["dead-letters", "list"])["dead_letters"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_outlasts_a_bad_moment() {
    let installation = with_faults(&GONE).await;
    let served = installation.serve();
    for number in 0..3 {
        served.sent(&["--to-token", &format!("gone-{number}")]);
    }
    dead(&served, 3).await;
    let busy = Move::Answer { status: 503, kind: "overloaded", retry_after_s: 1 };
    let front = Front::start(&served.url, [Move::Pass, Move::Pass, Move::Break, busy]).await;
    let redriven =
        served.json(&["dead-letters", "redrive", "--all", "--rate", "2", "--wait", "--url", &front.url]);
    assert_eq!(
        (&redriven["redrives"][0]["reopened"], &redriven["redrives"][0]["state"]),
        (&json!(3), &json!("done"))
    );
    assert!(front.requests() > 4);
    dead(&served, 3).await;
    let more = Move::Say(r#"{"purged":10000,"more":true,"next_cursor":"one"}"#);
    let done = Move::Say(r#"{"purged":3,"more":false,"next_cursor":null}"#);
    let front = Front::start(&served.url, [more, busy, more, done]).await;
    let purged = served.told(&["dead-letters", "purge", "--all", "--yes", "--url", &front.url], "");
    assert_eq!(purged, "20,003 dead letters removed\n");
    let path = "/v1/dead-letters?confirm=all";
    let next = format!("{path}&cursor=one");
    assert_eq!(front.asked(), [path, &next, &next, &next]);
}
