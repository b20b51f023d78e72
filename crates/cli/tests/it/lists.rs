//! Lists of notifications and deliveries: filters, pages, and what scripts make of them.

use fcm_emulator::FaultKind;
use serde_json::{Value, json};

use crate::answers::{UNKNOWN, expect_failure, with_faults};
use crate::front::{Front, Move};
use crate::program::{Served, pabal};

fn ids(page: &Value, plural: &str) -> Vec<String> {
    page[plural].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Sends so many, from a file.
fn send_many(served: &Served, folder: &std::path::Path, count: usize) {
    let line = |n: usize| format!("{{\"to\":{{\"user\":\"user-{}\"}},\"title\":\"t\"}}\n", n % 3);
    let file = folder.join("many.ndjson");
    std::fs::write(&file, (0..count).map(line).collect::<String>()).unwrap();
    let sent = served.json(&["send", "--file", file.to_str().unwrap()]);
    assert_eq!((&sent["accepted"], &sent["refused"]), (&json!(count), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_tell_in_a_table() {
    let installation = with_faults(&[("gone-", FaultKind::Unregistered)]).await;
    let served = installation.serve();
    served.json(&["devices", "put", "ann", "phone", "--platform", "android", "--token", "gone-1"]);
    let of_ann = served.sent(&["--to-user", "ann"]);
    let later = served.sent(&["--to-token", "t", "--send-at", "2027-11-22T00:00:00Z"]);
    served.until(&["stats"], |seen| seen["deliveries"]["dead"] == 1).await;

    let found = served.json(&["notifications", "list", "--state", "scheduled", "--since", "1h"]);
    assert_eq!((ids(&found, "notifications"), &found["next_cursor"]), (vec![later.clone()], &Value::Null));
    let told = served.told(&["notifications", "cancel", &later], "");
    assert_eq!(told, "1 cancelled, 0 sent already, 0 ended otherwise before, 0 in flight at this moment\n");
    let again = served.json(&["notifications", "cancel", &later]);
    assert_eq!((&again["cancelled"], &again["already_final"]), (&json!(0), &json!(1)));
    served.fails(&["notifications", "cancel", UNKNOWN], 5, "no such notification");
    let table = served.told(&["notifications", "list"], "");
    assert!(table.lines().next().unwrap().starts_with("ID "), "{table}");
    let row = table.lines().find(|line| line.starts_with(&of_ann)).unwrap();
    assert!(row.contains("  user ann  ") && row.ends_with("  expanded   1 dead"), "{table}");
    served.told(&["notifications", "list", "--until", "1h"], "there are no such notifications");
    served.fails(&["notifications", "list", "--state", "odd"], 3, "state");

    let filters: [&[&str]; 5] = [
        &["--user", "ann"],
        &["--state", "dead", "--reason", "unregistered"],
        &["--notification", &of_ann],
        &["--since", "2h", "--user", "ann", "--channel", "fcm"],
        &["--state", "dead", "--until", "2999-01-01T00:00:00+09:00"],
    ];
    for filter in filters {
        let found = served.json(&[&["deliveries", "list"], filter].concat());
        assert_eq!(found["deliveries"][0]["notification"], of_ann.as_str(), "{filter:?}");
        assert_eq!(found["deliveries"].as_array().unwrap().len(), 1, "{filter:?}");
    }
    for filter in [&["--user", "bea"][..], &["--until", "1h"], &["--notification", UNKNOWN]] {
        assert_eq!(
            served.json(&[&["deliveries", "list"], filter].concat())["deliveries"],
            json!([]),
            "{filter:?}"
        );
    }
    let table = served.told(&["deliveries", "list", "--user", "ann"], "");
    assert!(table.contains("  user ann, device phone  dead   1         unregistered\n"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_long_list_comes_once_and_in_order() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    send_many(&served, installation.folder.path(), 2300);
    let all = ids(&served.json(&["deliveries", "list", "--all"]), "deliveries");
    assert_eq!(all.len(), 2300);
    assert!(all.windows(2).all(|pair| pair[0] > pair[1]), "newest first, none twice");
    // A filter that few fit: pages are short or empty on the way.
    let of_one = ids(&served.json(&["deliveries", "list", "--user", "user-1", "--all"]), "deliveries");
    assert_eq!(of_one.len(), 767);
    let table = served.told(&["deliveries", "list", "--all"], "");
    assert_eq!(table.lines().count(), 2301, "one head, and a line for each");
    assert!(table.lines().skip(1).zip(&all).all(|(line, id)| line.starts_with(id.as_str())));

    let first = served.json(&["deliveries", "list"]);
    assert_eq!((ids(&first, "deliveries").len(), first["next_cursor"].is_string()), (100, true));
    assert_eq!(ids(&served.json(&["deliveries", "list", "--limit", "1001"]), "deliveries"), all[..1001]);
    served.told(&["deliveries", "list", "--limit", "3"], "there are more than these 3: --all shows them");
    served.fails(&["deliveries", "list", "--limit", "0"], 2, "must be a number above 0");
    served.fails(&["deliveries", "list", "--limit", "5", "--all"], 2, "cannot be used with");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_can_not_be_had_prints_nothing() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    for command in
        [&["deliveries", "list"][..], &["dead-letters", "list"], &["devices", "list"], &["stats"], &["top"]]
    {
        let mut away = pabal(&[command, &["--url", "http://127.0.0.1:1"]].concat());
        expect_failure(&mut away, 4, "Is it running ('pabal serve')?");
        let mut stranger = served.client(command);
        let (code, out, error) = crate::program::run(stranger.env("PABAL_API_KEY", "wrong"));
        assert_eq!((code, out.as_str()), (3, ""));
        assert!(error.contains("Give the key with PABAL_API_KEY or --api-key"), "{error}");
    }
    served.fails(&["deliveries", "list", "--notification", "x"], 2, "is no id: one reads like");
    let mut elsewhere = served.client(&["stats", "--url", &format!("{}/elsewhere", served.url)]);
    expect_failure(&mut elsewhere, 5, "is there a path in --url?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_moment_ends_what_has_not_begun_and_nothing_else() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    send_many(&served, installation.folder.path(), 1100);
    let moves = |kind: &'static str, status: u16| Move::Answer { status, kind, retry_after_s: 1 };
    for next in [moves("overloaded", 503), moves("too_many_requests", 429), Move::Break] {
        let front = Front::start(&served.url, [next]).await;
        let list = ["deliveries", "list", "--url", &front.url];
        let said = if matches!(next, Move::Break) { "the connection broke" } else { "Repeat it in 1 s" };
        expect_failure(&mut served.client(&list), 4, said);
        assert_eq!(front.requests(), 1, "{next:?}");
    }
    let front = Front::start(&served.url, [Move::Pass, moves("overloaded", 503), Move::Break]).await;
    let all = served.json(&["deliveries", "list", "--all", "--url", &front.url]);
    assert_eq!((ids(&all, "deliveries").len(), front.requests()), (1100, 4));
    let front = Front::start(&served.url, [Move::Pass, moves("internal", 500)]).await;
    expect_failure(&mut served.client(&["deliveries", "list", "--all", "--url", &front.url]), 4, "t (500)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_finished_is_repeated_until_it_is() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let done = Move::Say(r#"{"cancelled":1,"in_flight":0,"devices":2,"deliveries":3000,"notifications":7}"#);
    let front = Front::start(&served.url, [Move::GoOn("one"), Move::GoOn("a&b"), Move::Break, done]).await;
    let erased = served.json(&["users", "erase", "ann", "--yes", "--url", &front.url]);
    assert_eq!(erased["deliveries"], 3000, "the last answer is about all of it");
    let path = "/v1/users/ann";
    let last = format!("{path}?cursor=a%26b");
    assert_eq!(front.asked(), [path.to_owned(), format!("{path}?cursor=one"), last.clone(), last]);

    let done = Move::Say(r#"{"restored":3}"#);
    let front = Front::start(&served.url, [Move::GoOn("one"), done]).await;
    let restored = served.json(&["devices", "restore", "--state", "retired", "--url", &front.url]);
    assert_eq!(restored["restored"], 3);
    assert_eq!(front.asked(), ["/v1/devices/restore", "/v1/devices/restore?cursor=one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_is_not_the_end_of_a_list() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let empty = Move::Say(r#"{"deliveries":[],"next_cursor":"a b"}"#);
    let last = Move::Say(r#"{"deliveries":[{"id":"1"}],"next_cursor":null}"#);
    for (arguments, expect) in [
        (&["--json"][..], "{\"deliveries\":[\n{\"id\":\"1\"}\n],\"next_cursor\":null}\n"),
        (&[], "ID  ACCEPTED"),
    ] {
        let front = Front::start(&served.url, [empty, empty, last]).await;
        let list = [&["deliveries", "list", "--url", &front.url], arguments].concat();
        let out = served.told(&list, "");
        assert!(out.starts_with(expect) && front.requests() == 3, "{out}");
    }
}
