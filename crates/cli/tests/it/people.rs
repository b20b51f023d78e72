//! `devices` and `users`.

use fcm_emulator::FaultKind;
use serde_json::{Value, json};

use crate::answers::{set_faults, with_faults};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_registered_shown_and_removed() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let (user, device) = ("유진 a/b?#%", "..;=&+");
    let put = [
        "devices",
        "put",
        user,
        device,
        "--platform",
        "web",
        "--fid",
        "f",
        "--locale",
        "ko-KR",
        "--time-zone",
        "Asia/Seoul",
    ];
    let made = served.json(&put);
    assert_eq!(
        (&made["user"], &made["device"], &made["locale"]),
        (&json!(user), &json!(device), &json!("ko-KR"))
    );
    let shown = served.told(&["devices", "get", user, device], "");
    assert!(
        shown.starts_with(&format!("device user {user}, device {device}\n  by fcm, project demo, web\n")),
        "{shown}"
    );
    assert!(shown.contains("  time zone   Asia/Seoul\n"), "{shown}");
    let listed = served.json(&["devices", "list", "--user", user]);
    assert_eq!(listed["devices"], json!([made]));
    let table = served.told(&["devices", "list", "--user", user], "");
    assert!(table.lines().nth(1).unwrap().starts_with(&format!("{user}  {device}  ")), "{table}");
    let removed = served.told(&["devices", "delete", user, device], "");
    assert_eq!(removed, format!("device {device} of {user} is removed\n"));
    served.fails(&["devices", "delete", user, device], 5, "there is no such device");
    served.fails(&["devices", "get", user, device], 5, "sees what belongs to its own app only");
    served.fails(&["devices", "put", "a", "d", "--platform", "web"], 2, "--token");
    served.fails(&["devices", "put", "a", "d", "--platform", "tv", "--token", "t"], 3, "platform");
    served.fails(&["devices", "get", "", "d"], 2, "a value is required");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_retired_by_mistake_is_restored() {
    let installation =
        with_faults(&[("gone-", FaultKind::Unregistered), ("theirs-", FaultKind::SenderMismatch)]).await;
    let served = installation.serve();
    let tokens = ["gone-1", "gone-2", "theirs-1", "theirs-2"];
    for (number, token) in tokens.iter().enumerate() {
        let user = format!("user-{number}");
        served.json(&["devices", "put", &user, "phone", "--platform", "ios", "--token", token]);
        served.sent(&["--to-user", &user]);
    }
    served.until(&["stats"], |seen| seen["deliveries"]["dead"] == 4).await;
    let marked = |query: &[&str]| {
        let listed = served.json(&[&["devices", "list"], query].concat());
        listed["devices"].as_array().unwrap().len()
    };
    assert_eq!(
        (marked(&["--state", "retired"]), marked(&["--state", "quarantined"]), marked(&["--until", "1h"])),
        (4, 0, 0)
    );
    let listed = served.json(&["devices", "list", "--since", "1h", "--limit", "2"]);
    assert!(listed["since"].is_string() && listed["next_cursor"].is_string(), "{listed}");
    let table = served.told(&["devices", "list"], "to see what is marked from then on: --since 20");
    assert!(table.contains("  retired UNREGISTERED  "), "{table}");
    let reason =
        served.json(&["devices", "get", "user-2", "phone"])["mark"]["reason"].as_str().unwrap().to_owned();
    assert_eq!(marked(&["--reason", &reason]), 2);

    let restored =
        |arguments: &[&str]| served.json(&[&["devices", "restore"], arguments].concat())["restored"].clone();
    assert_eq!(restored(&["user-0/phone", "nobody/phone"]), 1);
    assert_eq!(restored(&["--state", "retired", "--reason", &reason, "--until", "1h"]), 0);
    assert_eq!(restored(&["--state", "retired", "--reason", &reason, "--since", "1h"]), 2);
    assert_eq!(served.told(&["devices", "restore", "--state", "retired"], ""), "1 device restored\n");
    assert_eq!(marked(&[]), 0);
    served.fails(&["devices", "restore"], 2, "say which devices");
    served.fails(&["devices", "restore", "user-0"], 2, "USER/DEVICE");
    served.fails(&["devices", "restore", "--reason", "X"], 2, "--state");
    served.fails(&["devices", "restore", "a/b", "--state", "retired"], 2, "cannot be used with");
    served.fails(&["devices", "list", "--user", "a", "--state", "retired"], 2, "cannot be used with");
    set_faults(&installation, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_once_that_is_confirmed() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    served.json(&["devices", "put", "ann", "phone", "--platform", "ios", "--token", "t"]);
    let now = served.sent(&["--to-user", "ann"]);
    served.sent(&["--to-user", "ann", "--send-at", "2027-11-22T00:00:00Z"]);
    served.until(&["status", &now], |seen| seen["counts"] == json!({ "delivered": 1 })).await;
    served.fails(&["users", "erase", "ann"], 2, "there is no terminal to ask at; add --yes");
    assert_eq!(served.json(&["devices", "list", "--user", "ann"])["devices"].as_array().unwrap().len(), 1);
    let erased = served.told(&["users", "erase", "ann", "--yes"], "");
    assert!(erased.starts_with("user ann is erased\n          1  devices removed\n"), "{erased}");
    assert_eq!(served.json(&["devices", "list", "--user", "ann"])["devices"], json!([]));
    assert_eq!(served.json(&["deliveries", "list", "--user", "ann"])["deliveries"], json!([]));
    let table = served.told(&["deliveries", "list"], "");
    assert!(table.contains("  (erased)  ") && !table.contains("ann"), "{table}");
    let again = served.json(&["users", "erase", "ann", "-y"]);
    assert_eq!((&again["devices"], &again["deliveries"]), (&json!(0), &json!(0)));
    let counts: Value = served.json(&["stats"])["deliveries"].clone();
    assert_eq!(counts["delivered"], 1, "counts stay");
}
