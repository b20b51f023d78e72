//! `send --file`: batches, refused lines, repeats and going on, over a server that has bad moments.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::answers::{expect_failure, with_faults};
use crate::front::{Front, Move};
use crate::load::DEADLINE;
use crate::program::{Installation, run};

fn line(number: usize, key: bool) -> String {
    let key = if key { format!(",\"idempotency_key\":\"k-{number}\"") } else { String::new() };
    format!("{{\"to\":{{\"token\":\"token-{number}\"}},\"title\":\"t\"{key}}}\n")
}

fn written(installation: &Installation, text: &str) -> String {
    let file = installation.folder.path().join("notifications");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn lines(count: usize, key: bool) -> String {
    (1..=count).map(|number| line(number, key)).collect()
}

/// How many different notifications have arrived, and how many in all.
async fn arrived(installation: &Installation, count: u64) -> (u64, u64) {
    let counts = installation.emulator.wait_for(count, DEADLINE).await.unwrap();
    (counts.unique, counts.accepted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_in_batches_and_a_repeat_sends_nothing_again() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let file = written(&installation, &lines(2300, true));
    assert_eq!(served.told(&["send", "--file", &file], ""), "Accepted 2,300 notifications\n");
    let again = served.told(&["send", "--file", &file], "");
    assert_eq!(again, "Accepted 2,300 notifications (2,300 of them before, not sent again)\n");
    let answer =
        json!({ "accepted": 0, "replayed": 2, "refused": 0, "next_line": null, "refused_lines": [] });
    assert_eq!(served.json(&["send", "--file", &file, "--from-line", "2299"]), answer);
    assert_eq!(arrived(&installation, 2300).await, (2300, 2300));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_with_its_line() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let mut text = lines(2, false);
    text += "\n{\"to\":{\"token\":\"t\"},\"titel\":\"t\"}\nnonsense\n";
    write!(text, "\"{}\"\n{}", "x".repeat(2_000_000), line(7, false)).unwrap();
    let file = written(&installation, &text);
    let (code, out, error) = run(&mut served.client(&["send", "--file", &file]));
    assert_eq!((code, out.as_str()), (3, "Accepted 3 notifications, refused 3\n"));
    let told: Vec<&str> = error.lines().collect();
    assert!(told[0].starts_with("pabal: line 4: titel is not known; known here: "), "{error}");
    assert!(told[1].starts_with("pabal: line 5: ") && told[1].ends_with(" (400 malformed_json)"), "{error}");
    assert!(
        told[2].starts_with("pabal: line 6: the line is longer than any notification may be (413"),
        "{error}"
    );
    assert!(told[3].starts_with("pabal: 3 lines refused, the others are accepted: repair them"), "{error}");
    assert_eq!(told.len(), 4, "{error}");
    assert_eq!(arrived(&installation, 3).await, (3, 3));

    let (code, out, error) =
        run(&mut served.client(&["send", "--json", "--file", &file, "--from-line", "5"]));
    let (answer, failure): (Value, Value) =
        (serde_json::from_str(&out).unwrap(), serde_json::from_str(&error).unwrap());
    assert_eq!((code, &failure["exit_code"]), (3, &json!(3)));
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&answer["refused_lines"][0]["line"], &answer["refused_lines"][0]["status"]),
        (&json!(5), &json!(400))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_sent_item_by_item_and_so_is_standard_input() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let items: Vec<Value> = (1..=1500).map(|n| serde_json::from_str(&line(n, true)).unwrap()).collect();
    let file = written(&installation, &serde_json::to_string_pretty(&items).unwrap());
    assert_eq!(served.json(&["send", "--file", &file, "--from-line", "11"])["accepted"], 1490);
    let cut = written(&installation, "[{\"to\":{\"token\":\"cut\"},\"title\":\"t\"}, {\"to\"");
    let (code, out, error) = run(&mut served.client(&["send", "--file", &cut]));
    assert_eq!((code, out.as_str()), (6, "Accepted 1 notification\n"));
    assert!(error.contains("behind item 1 it is no JSON array of notifications"), "{error}");
    assert!(error.contains("go on with: pabal send") && error.contains("--from-line 2"), "{error}");

    let mut command = served.client(&["send", "--json", "--file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines(3, false).as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&ended.stdout).unwrap()["accepted"], 3);
    assert_eq!(arrived(&installation, 1494).await.1, 1494);
    let empty = written(&installation, "\n");
    assert_eq!(served.told(&["send", "--file", &empty], ""), "Accepted 0 notifications\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_with_files_are_told() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let file = written(&installation, &lines(1, false));
    served.fails(&["send", "--file", "/nowhere/x.ndjson"], 6, "/nowhere/x.ndjson: the file can't be read: ");
    served.fails(&["send", "--file", installation.folder.path().to_str().unwrap()], 6, "is a folder");
    served.fails(&["send", "--file", &file, "--title", "t"], 2, "cannot be used with");
    served.fails(&["send", "--file", &file, "--to-user", "ann"], 2, "cannot be used with");
    served.fails(&["send", "--file", &file, "--from-line", "0"], 2, "--from-line");
    served.fails(&["send", "--to-user", "a", "--title", "t", "--from-line", "2"], 2, "--file");
    let made = served.json(&["keys", "create", "--name", "reader", "--scope", "read"]);
    let mut reader = served.client(&["send", "--file", &file]);
    expect_failure(reader.env("PABAL_API_KEY", made["key"].as_str().unwrap()), 3, "--scope send");
    expect_failure(
        served.client(&["send", "--file", &file]).env("PABAL_URL", "http://127.0.0.1:1"),
        4,
        "Is it running",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_moment_is_waited_out_and_nothing_is_sent_twice() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let moves = [
        Move::Answer { status: 503, kind: "overloaded", retry_after_s: 1 },
        Move::Answer { status: 429, kind: "too_many_requests", retry_after_s: 1 },
        // The first batch is accepted, and its answer lost.
        Move::PassAndBreak,
        Move::Pass,
        Move::Break,
    ];
    let front = Front::start(&served.url, moves).await;
    let file = written(&installation, &lines(1200, true));
    let out = served.told(&["send", "--file", &file, "--url", &front.url], "");
    assert_eq!(out, "Accepted 1,200 notifications (1,000 of them before, not sent again)\n");
    assert_eq!(front.requests(), 6, "the second batch was sent twice, for its connection broke");
    assert_eq!(arrived(&installation, 1200).await, (1200, 1200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_accepted_is_not_sent_again_without_a_key() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let front = Front::start(&served.url, [Move::Pass, Move::PassAndBreak]).await;
    let file = written(&installation, &lines(1200, false));
    let (code, out, error) = run(&mut served.client(&["send", "--file", &file, "--url", &front.url]));
    assert_eq!((code, out.as_str()), (4, "Accepted 1,000 notifications\n"));
    assert!(error.contains("lines 1001 to 1200: whether they were accepted is not known"), "{error}");
    assert!(
        error.contains("--from-line 1001\n") && error.contains("or from line 1201 to leave them out"),
        "{error}"
    );
    assert_eq!(front.requests(), 2);
    // What was surely not accepted is sent again without any key.
    let moves = [Move::Answer { status: 503, kind: "store_unavailable", retry_after_s: 1 }];
    let front = Front::start(&served.url, moves).await;
    let sent = served.json(&["send", "--file", &file, "--from-line", "1199", "--url", &front.url]);
    assert_eq!((&sent["accepted"], front.requests()), (&json!(2), 2));
    let moves = [Move::Answer { status: 503, kind: "timeout", retry_after_s: 1 }];
    let front = Front::start(&served.url, moves).await;
    let arguments = ["send", "--file", &file, "--from-line", "1200", "--url", &front.url];
    expect_failure(&mut served.client(&arguments), 4, "lines 1200 to 1200: whether they were accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_says_where_to_go_on() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let mut command = served.client(&["send", "--file", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(1001, false).as_bytes()).unwrap();
    served.until(&["stats"], |seen| seen["deliveries"]["delivered"] == 1000).await;
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "Accepted 1,000 notifications\n");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("go on with: pabal send --file - --from-line 1001"), "{said}");
    drop(input);
}
