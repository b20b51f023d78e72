//! The calling team's backend, played by some connections that each send one request after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use http::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::campaign;
use super::people::{PEOPLE, Person};
use crate::client::{Connection, ServerArgs};

/// Connections that send at once.
const CONNECTIONS: usize = 48;
/// How long to wait where the server asks to come back and does not say when.
const PAUSE: Duration = Duration::from_secs(1);

/// Registers everybody's devices; answers how many there are. Registering anew changes nothing.
pub(super) async fn register(server: &ServerArgs) -> Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (server, next) = (server.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut connection = Connection::open(&server).await?;
            let mut registered = 0;
            while let Some(person) = take(&next, PEOPLE).map(Person) {
                for (device, registration) in person.devices() {
                    let path = format!("/v1/users/{}/devices/{device}", person.user());
                    let answer = connection.call(Method::PUT, &path, Some(&registration), None).await?;
                    answer.expect_success()?;
                    registered += 1;
                }
            }
            Ok::<usize, anyhow::Error>(registered)
        });
    }
    let mut all = 0;
    while let Some(registered) = tasks.join_next().await {
        all += registered??;
    }
    Ok(all)
}

/// Sends the notifications of these numbers, tells each that was accepted, and answers how long each accept took.
pub(super) async fn send(
    server: &ServerArgs,
    numbers: Vec<usize>,
    accepted: mpsc::Sender<(usize, String)>,
) -> Result<Vec<Duration>> {
    let (numbers, next) = (Arc::new(numbers), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS.min(numbers.len()) {
        let (server, accepted) = (server.clone(), accepted.clone());
        let (numbers, next) = (Arc::clone(&numbers), Arc::clone(&next));
        tasks.spawn(async move {
            let mut connection = Connection::open(&server).await?;
            let mut took = Vec::new();
            while let Some(position) = take(&next, numbers.len()) {
                let number = numbers[position];
                let began = Instant::now();
                let id = send_one(&mut connection, number).await?;
                took.push(began.elapsed());
                if accepted.send((number, id)).await.is_err() {
                    break;
                }
            }
            Ok::<Vec<Duration>, anyhow::Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(one) = tasks.join_next().await {
        took.extend(one??);
    }
    Ok(took)
}

/// Sends one notification until it is accepted, with the same key each time.
async fn send_one(connection: &mut Connection, number: usize) -> Result<String> {
    let (body, key) = campaign::notification(number);
    loop {
        let answer = connection.call(Method::POST, "/v1/notifications", Some(&body), Some(&key)).await?;
        if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            tokio::time::sleep(answer.retry_after().unwrap_or(PAUSE)).await;
            continue;
        }
        return Ok(answer.expect_success()?["id"].as_str().unwrap_or_default().to_owned());
    }
}

fn take(next: &AtomicUsize, end: usize) -> Option<usize> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    (position < end).then_some(position)
}
