//! A client that waits out a moment's trouble.
//!
//! What has not begun fails at once: a script decides whether to come back. What has begun (the second page, the next
//! step of a removal) is not given up for a server that restarts or is busy: it is repeated for a while, and only
//! requests that may be repeated without harm.

use std::time::{Duration, Instant};

use anyhow::Result;
use http::Method;
use serde_json::Value;

use super::{Answer, Connection, ServerArgs};
use crate::failure::Failure;
use crate::path::segment;

/// How long trouble may last before it is a failure.
const TROUBLE_MAX: Duration = Duration::from_secs(60);
/// How long to wait between two tries, where the server does not say.
const WAIT: Duration = Duration::from_millis(500);
/// How long to wait between two tries at most, whatever the server says.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a request may be answered with "not all of it is done yet".
const STEPS_MAX: usize = 10_000;

/// Speaks to a server over one connection, and makes another when that breaks.
pub(crate) struct Client {
    server: ServerArgs,
    connection: Option<Connection>,
    has_begun: bool,
}

impl Client {
    /// Connects.
    pub(crate) async fn open(server: &ServerArgs) -> Result<Self> {
        let connection = Connection::open(server).await?;
        Ok(Self { server: server.clone(), connection: Some(connection), has_begun: false })
    }

    /// The connection, made anew where the last one is gone.
    pub(crate) async fn connection(&mut self) -> Result<&mut Connection> {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::open(&self.server).await?)),
        }
    }

    /// Makes a request once, whatever comes of it.
    pub(crate) async fn once(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.connection().await?.call(method, path, body, None).await;
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Looks at something.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Makes a request that may be repeated without harm, until it is done: where an answer says that a part is left, with
    /// the cursor of that part.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (mut trouble_since, mut steps, mut next) = (None, 0, path.to_owned());
        loop {
            let (wait, error) = match self.once(method.clone(), &next, body).await {
                Ok(answer) if answer.problem_kind() == "unfinished" && steps < STEPS_MAX => {
                    // A part of it is done.
                    (steps, trouble_since, self.has_begun) = (steps + 1, None, true);
                    next = going_on(path, answer.body["cursor"].as_str());
                    continue;
                }
                Ok(answer) if answer.is_not_now() => (answer.retry_after(), answer.failure().into()),
                Ok(answer) => {
                    let body = answer.expect_success()?;
                    self.has_begun = true;
                    return Ok(body);
                }
                Err(error) => (None, error),
            };
            let since = *trouble_since.get_or_insert_with(Instant::now);
            let wait = wait.unwrap_or(WAIT).min(WAIT_MAX);
            let is_worth_it = matches!(error.downcast_ref(), Some(Failure::Unavailable(_)));
            if !self.has_begun || !is_worth_it || since.elapsed() + wait > TROUBLE_MAX {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// The path that goes on at a cursor, if there is one.
fn going_on(path: &str, cursor: Option<&str>) -> String {
    let before = if path.contains('?') { '&' } else { '?' };
    cursor.map_or_else(|| path.to_owned(), |cursor| format!("{path}{before}cursor={}", segment(cursor)))
}
