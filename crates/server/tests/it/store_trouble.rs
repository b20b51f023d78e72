//! A store that takes no writes: nothing is half-accepted, callers are told to come back, and everything goes on by
//! itself once it does again.

use fcm_emulator::Faults;
use serde_json::json;

use crate::world::{World, eventually};

/// Another connection that holds the database's write lock for as long as it lives.
fn hold_writes(world: &World) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(world.database()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[tokio::test]
async fn a_store_that_takes_no_writes_answers_503_and_goes_on_by_itself() {
    let world = World::start().await;
    let before = world.accepted(json!({ "to": { "token": "before" }, "title": "t" })).await;
    world.settled(&before).await;

    let held = hold_writes(&world);
    let answer = world.post(json!({ "to": { "token": "meanwhile" }, "title": "t" })).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.body["type"], "urn:pabal:problem:store_unavailable");
    let ready = world.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    let reason = "the store takes no writes: nothing is accepted, and no attempt begins until it does";
    assert_eq!(ready.body["reasons"], json!([reason]));

    held.execute_batch("ROLLBACK").unwrap();
    eventually("the server is ready again", || async {
        (world.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let after = world.accepted(json!({ "to": { "token": "after" }, "title": "t" })).await;
    world.settled(&after).await;
    let targets: Vec<String> = world.emulator.ids(0, 10).iter().map(|id| id.target.to_string()).collect();
    assert_eq!(targets, ["before", "after"], "what was refused was not sent");
}

#[tokio::test]
async fn a_full_store_accepts_nothing_by_halves() {
    let world = World::start_with(Faults::default(), |config| config.store.push_str("?pages_max=120")).await;
    let body = |n: usize| json!({ "to": { "token": format!("token-{n}") }, "title": "x".repeat(1000) });
    let mut accepted = Vec::new();
    let refused = loop {
        let answer = world.post(body(accepted.len())).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(answer.body["id"].as_str().unwrap().to_owned());
        assert!(accepted.len() < 10_000, "the store never fills up");
    };
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(!accepted.is_empty());

    // With room again, everything that was accepted is delivered, and nothing else.
    let config = world.configuration();
    let World { running, emulator, folder } = world;
    running.stop().await;
    let world = World { running: pabal_server::Server::start(config).await.unwrap(), emulator, folder };
    for id in &accepted {
        world.settled(id).await;
    }
    let sent: std::collections::BTreeSet<String> =
        world.emulator.ids(0, 100_000).iter().map(|id| id.pabal_id.to_string()).collect();
    assert_eq!(sent, accepted.into_iter().collect());
}
