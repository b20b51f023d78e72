//! Many sends at once over several connections: nothing is lost, nothing is counted twice.

use fcm_emulator::Faults;
use serde_json::json;

use crate::client::{Client, DEADLINE, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sends_are_all_in_the_book() {
    const CONNECTIONS: usize = 8;
    const SENDS: usize = 500;
    let emulator = start(Faults::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut client = Client::connect(&emulator).await;
        tasks.spawn(async move {
            for send in 0..SENDS {
                let message =
                    json!({"token": format!("t{connection}"), "data": {"pabal_id": send.to_string()}});
                assert_eq!(client.send(message).await.status, 200);
            }
        });
    }
    let total = (CONNECTIONS * SENDS) as u64;
    let counts = emulator.wait_for(total, DEADLINE).await.unwrap();
    tasks.join_all().await;
    assert_eq!((counts.accepted, counts.unique), (total, total));
    let mut ids: Vec<(String, String)> = emulator
        .ids(0, usize::MAX)
        .into_iter()
        .map(|id| (id.target.to_string(), id.pabal_id.to_string()))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len() as u64, total);
}
