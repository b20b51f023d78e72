//! Sends batches until each item is accepted or refused.
//!
//! ```text
//!   open ──202──► accepted        open ──4xx──► refused        open ──503, 429──► open, after the wait asked for
//! ```
//!
//! An item is sent again only when it surely was not accepted, or when its own idempotency key makes that safe.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::lines::Item;
use crate::client::{Answer, Client, WAIT_MAX};
use crate::failure::Failure;
use crate::fields::items;
use crate::signals::Stop;

const PATH: &str = "/v1/notifications/batch";
/// How often a batch is sent in a row without any of its items coming to an end.
const TRIES_MAX: usize = 12;
/// How long to wait where the server does not say; doubled with each try.
const WAIT: Duration = Duration::from_millis(500);

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) accepted: u64,
    pub(super) replayed: u64,
    pub(super) refused: Vec<Refusal>,
    /// The first line that was not decided on, because someone asked for the stop.
    pub(super) left_at: Option<u64>,
}

/// Why a line was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) line: u64,
    pub(super) status: u64,
    pub(super) problem: Value,
}

/// Why no more can be sent.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) error: anyhow::Error,
    /// The first and the last line that are not decided on.
    pub(super) lines: (u64, u64),
    /// Whether it is not known if these were accepted.
    pub(super) is_unknown: bool,
}

/// Sends items, and sends again what has to be.
pub(super) async fn send(
    client: &mut Client,
    mut open: Vec<Item>,
    stop: &mut Stop,
) -> (Sent, Result<(), Stuck>) {
    let (mut sent, mut tries) = (Sent::default(), 0_usize);
    while !open.is_empty() {
        let before = open.len();
        let tried = post(client, &open).await;
        let (wait, error, is_known) = match tried {
            Ok(answer) if answer.status.is_success() => {
                let wait = answer.retry_after();
                open = sort(&mut sent, open, &answer.body);
                let error = Failure::Unavailable("the server can't take them at the moment".to_owned());
                (wait, error.into(), true)
            }
            Ok(answer) if answer.is_not_now() => {
                let is_known = ["overloaded", "store_unavailable", "too_many_requests", "unfinished"]
                    .contains(&answer.problem_kind());
                (answer.retry_after(), answer.failure().into(), is_known)
            }
            Ok(answer) => {
                let is_unknown = answer.status.is_server_error();
                return (sent, stuck(&open, answer.failure().into(), is_unknown));
            }
            Err(NotPosted { error, is_known }) => (None, error, is_known),
        };
        if open.is_empty() {
            break;
        }
        tries = if open.len() < before { 0 } else { tries + 1 };
        let may_repeat = is_known || open.iter().all(has_key);
        if !may_repeat || tries == TRIES_MAX || !is_worth_it(&error) {
            return (sent, stuck(&open, error, !is_known));
        }
        if stop.is_asked().is_none() {
            let doubled = WAIT * 2_u32.saturating_pow(u32::try_from(tries).unwrap_or(u32::MAX).min(8));
            tokio::select! {
                biased;
                () = stop.asked() => {}
                () = tokio::time::sleep(wait.unwrap_or(doubled).min(WAIT_MAX)) => {}
            }
        }
        if stop.is_asked().is_some() {
            sent.left_at = open.first().map(|item| item.line);
            break;
        }
    }
    (sent, Ok(()))
}

fn stuck(open: &[Item], error: anyhow::Error, is_unknown: bool) -> Result<(), Stuck> {
    let line = |item: Option<&Item>| item.map_or(0, |item| item.line);
    Err(Stuck { error, lines: (line(open.first()), line(open.last())), is_unknown })
}

fn is_worth_it(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Failure::Unavailable(_)))
}

struct NotPosted {
    error: anyhow::Error,
    /// Whether nothing was sent for sure.
    is_known: bool,
}

async fn post(client: &mut Client, open: &[Item]) -> Result<Answer, NotPosted> {
    let lines: Vec<&[u8]> = open.iter().map(|item| item.json.as_slice()).collect();
    let body = Bytes::from(lines.join(&b'\n'));
    let connection = client.connection().await.map_err(|error| NotPosted { error, is_known: true })?;
    connection.post_lines(PATH, body).await.map_err(|error| NotPosted { error, is_known: false })
}

/// Sorts a batch's items by what came of them; gives those that are still open.
fn sort(sent: &mut Sent, batch: Vec<Item>, body: &Value) -> Vec<Item> {
    let mut results = items(body, "items");
    let mut open = Vec::new();
    for item in batch {
        let result = results.next().unwrap_or(&Value::Null);
        match result["status"].as_u64() {
            Some(202) if result["replayed"] == true => sent.replayed += 1,
            Some(202) => sent.accepted += 1,
            Some(429 | 503) => open.push(item),
            status => {
                let status = status.unwrap_or_default();
                sent.refused.push(Refusal { line: item.line, status, problem: result["problem"].clone() });
            }
        }
    }
    open
}

/// Whether an item may be sent twice without harm.
fn has_key(item: &Item) -> bool {
    #[derive(Deserialize)]
    struct Keyed {
        #[serde(default)]
        idempotency_key: Option<IgnoredAny>,
    }
    match serde_json::from_slice::<Keyed>(&item.json) {
        Ok(keyed) => keyed.idempotency_key.is_some(),
        // What can't be read is refused as often as it is sent.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(line: u64, json: &str) -> Item {
        Item { line, json: json.as_bytes().to_vec() }
    }

    #[test]
    fn every_item_is_accepted_refused_or_open() {
        let batch = vec![item(1, "{}"), item(2, "{}"), item(4, "{}"), item(9, "{}"), item(10, "{}")];
        let results = json!({ "items": [
            { "status": 202, "replayed": false }, { "status": 202, "replayed": true },
            { "status": 422, "problem": { "detail": "d" } }, { "status": 503 }, { "status": 500 },
        ] });
        let mut sent = Sent::default();
        let open = sort(&mut sent, batch, &results);
        assert_eq!((sent.accepted, sent.replayed), (1, 1));
        let refused: Vec<(u64, u64)> = sent.refused.iter().map(|one| (one.line, one.status)).collect();
        assert_eq!(refused, [(4, 422), (10, 500)]);
        let open: Vec<u64> = open.iter().map(|item| item.line).collect();
        assert_eq!(open, [9]);
    }

    #[test]
    fn only_keys_make_a_repeat_safe() {
        assert!(has_key(&item(1, r#"{"title":"t","idempotency_key":"k"}"#)));
        assert!(!has_key(&item(1, r#"{"title":"t"}"#)));
        assert!(!has_key(&item(1, r#"{"title":"t","idempotency_key":null}"#)));
        assert!(has_key(&item(1, "nonsense")));
    }
}
