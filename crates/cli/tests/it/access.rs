//! `keys` and `apps`: who may do what, and how a refusal says what is missing.

use serde_json::{Value, json};

use crate::answers::{UNKNOWN, with_faults};
use crate::program::{Served, run};

/// What a command says that another key may not do.
fn forbidden(served: &Served, key: &str, arguments: &[&str]) -> String {
    let (code, out, error) = run(served.client(arguments).env("PABAL_API_KEY", key));
    assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}: {error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printed_alone_and_once() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let create =
        ["keys", "create", "--name", "billing", "--scope", "send", "--scope", "read", "--expires", "90d"];
    let key = served.told(&create, "it is shown this once and kept nowhere");
    assert!(key.starts_with("pabal_") && key.lines().count() == 1, "it can be captured by a shell");
    let key = key.trim();
    let sending = run(served.client(&["send", "--to-token", "t", "--title", "t"]).env("PABAL_API_KEY", key));
    assert_eq!(sending.0, 0);
    let error = forbidden(&served, key, &["devices", "delete", "ann", "phone"]);
    assert!(
        error.contains("An admin makes a key that has it: pabal keys create --name NAME --scope manage"),
        "{error}"
    );
    let error = forbidden(&served, key, &["keys", "list"]);
    assert!(error.contains("Use an admin key of the app default"), "{error}");

    let made = served.json(&["keys", "create", "--name", "ci", "--scope", "send,read"]);
    assert!(made["key"].as_str().unwrap().starts_with("pabal_") && made["expires_at"].is_null(), "{made}");
    let listed = served.json(&["keys", "list"]);
    let names: Vec<&str> =
        listed["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ci", "billing", "first admin key"]);
    assert!(!listed.to_string().contains("pabal_"), "no secret is listed");
    let table = served.told(&["keys", "list"], "");
    assert!(
        table.contains("  billing          default  read,send  ") || table.contains("  send,read  "),
        "{table}"
    );

    let id = listed["keys"][1]["id"].as_str().unwrap();
    assert_eq!(served.told(&["keys", "revoke", id], ""), format!("key {id} is revoked\n"));
    let error = forbidden(&served, key, &["stats"]);
    assert!(error.contains("'pabal keys create' makes more"), "{error}");
    assert_eq!(served.json(&["keys", "list"])["keys"].as_array().unwrap().len(), 2);
    assert_eq!(served.json(&["keys", "list", "--revoked"])["keys"].as_array().unwrap().len(), 3);
    assert_eq!(served.json(&["keys", "revoke", id]), json!({ "id": id, "revoked": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_with_keys_are_told() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let first = served.json(&["keys", "list"])["keys"][0]["id"].as_str().unwrap().to_owned();
    served.fails(&["keys", "revoke", &first], 3, "make another one without expires_at first");
    served.fails(&["keys", "revoke", UNKNOWN], 5, "there is no such key");
    served.fails(&["keys", "revoke", "billing"], 2, "is no id");
    served.fails(&["keys", "create", "--name", "x"], 2, "--scope");
    served.fails(&["keys", "create", "--name", "x", "--scope", "reed"], 2, "'read'");
    served.fails(&["keys", "create", "--name", " ", "--scope", "read"], 3, "name is empty");
    served.fails(
        &["keys", "create", "--name", "x", "--scope", "read", "--expires", "2020-01-01T00:00:00Z"],
        3,
        "has passed",
    );
    served.fails(
        &["keys", "create", "--name", "x", "--scope", "read", "--app", "shop"],
        3,
        "none of the apps",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_a_world_of_its_own() {
    let installation = with_faults(&[]).await;
    let served = installation.serve();
    let made = served.told(&["apps", "create", "shop"], "");
    assert!(made.contains("pabal keys create --app shop --name first --scope admin\n"), "{made}");
    served.fails(&["apps", "create", "shop"], 3, "See 'pabal apps list'");
    served.fails(&["apps", "create", "My Shop"], 3, "small letters, digits and '-'");
    assert_eq!(served.told(&["apps", "list"], ""), "NAME\ndefault\nshop\n");
    assert_eq!(served.json(&["apps", "list"])["apps"], json!([{ "name": "default" }, { "name": "shop" }]));
    let made = served.json(&["keys", "create", "--app", "shop", "--name", "first", "--scope", "admin"]);
    let key = made["key"].as_str().unwrap();
    let sent = served.sent(&["--to-token", "t"]);
    let (code, _, error) = run(served.client(&["status", &sent]).env("PABAL_API_KEY", key));
    assert_eq!(code, 5, "{error}");
    let error = forbidden(&served, key, &["apps", "list"]);
    assert!(error.contains("Use an admin key of the app default"), "{error}");
    let (_, stats, _) = run(served.client(&["stats", "--json"]).env("PABAL_API_KEY", key));
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["app"], stats.get("queue")), (&json!("shop"), None));
    let (code, text, _) = run(served.client(&["stats"]).env("PABAL_API_KEY", key));
    assert_eq!((code, text.as_str()), (0, "app shop\ndeliveries\n  none yet\n"));
    assert_eq!(served.json(&["keys", "list", "--app", "shop"])["keys"].as_array().unwrap().len(), 1);
    let id = made["id"].as_str().unwrap();
    served.told(&["keys", "revoke", id, "--app", "shop"], "");
}
