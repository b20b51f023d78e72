//! `POST /v1/notifications/batch`: many notifications in one request, each answered by itself.
//!
//! ```text
//!   body ──► items ──► read and checked one by one ──► steps of some hundred ──► one commit each ──► results
//! ```
//!
//! Nothing is accepted before the whole body is there and its items are counted. From then on an item's fate is its own,
//! but for a store that fails: then the items of later steps are not tried any more.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Json;
use http::{HeaderMap, Request, StatusCode};
use pabal_core::ids::{AppId, NotificationId};
use pabal_core::notification::Recipients;
use pabal_core::seam::{Acceptance, Answer, Idempotency};
use serde::Serialize;
use utoipa::ToSchema;

use super::items::{Form, ItemRequest, KEY_FIELD};
use super::{HEADER_IN_WORDS, IDEMPOTENCY_KEY};
use crate::api::document::schema;
use crate::api::problem::{Problem, ProblemBody, ProblemKind};
use crate::api::query::NoQuery;
use crate::api::time_left::TimeLeft;
use crate::api::{Api, Shared, body};
use crate::auth::{Granted, Sends};
use crate::limits;

/// What came of a batch.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Batch)]
pub(super) struct BatchBody {
    accepted: usize,
    replayed: usize,
    refused: usize,
    /// One for each item, in their order.
    items: Vec<ItemBody>,
}

/// What came of an item.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchItem)]
struct ItemBody {
    /// Its place in the batch, from 0.
    index: usize,
    /// The status that a single request would have had.
    status: u16,
    #[serde(flatten)]
    outcome: ItemOutcome,
}

/// Accepted, or refused with a problem.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = BatchItemOutcome)]
enum ItemOutcome {
    Taken {
        #[schema(value_type = schema::NotificationId)]
        id: NotificationId,
        #[schema(required)]
        deliveries: Option<u32>,
        /// Whether it had been accepted before, under the same `idempotency_key`.
        replayed: bool,
    },
    Refused {
        problem: ProblemBody,
    },
}

pub(super) async fn accept(
    caller: Granted<Sends>,
    _: NoQuery,
    State(api): State<Shared>,
    request: Request<Body>,
) -> Result<Json<BatchBody>, Problem> {
    let time = TimeLeft::of(&api);
    refuse_key(request.headers())?;
    let form = Form::of(request.headers())?;
    let Ok(_place) = Arc::clone(&api.batches).try_acquire_owned() else {
        let detail = "too many batches are under way on this server; try again in a moment";
        return Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1)));
    };
    let bytes = body::collect(request, limits::BATCH_BODY_BYTES_MAX, api.body_timeout).await?;
    let mut intake = Intake::new(&api, caller.app, time);
    for (index, item) in form.items(&bytes)?.into_iter().enumerate() {
        intake.take(index, item).await;
        if index % limits::BATCH_STEP_ITEMS_MAX == 0 {
            // Where all items are refused nothing else is awaited, and reading ten thousand of them takes a while.
            tokio::task::yield_now().await;
        }
    }
    intake.finish().await.map(Json)
}

/// A key for the whole would promise what is not kept: a repeat may find some items accepted and others not.
fn refuse_key(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(());
    }
    let detail = format!("{HEADER_IN_WORDS} is for single notifications: give each item its own {KEY_FIELD}");
    Err(Problem::new(ProblemKind::InvalidRequest, detail).at(HEADER_IN_WORDS))
}

/// A batch that is being taken in.
struct Intake<'a> {
    api: &'a Api,
    app: AppId,
    time: TimeLeft,
    step: Step,
    /// Whether a step was committed.
    has_begun: bool,
    /// Why no other step is made.
    stopped: Option<Problem>,
    results: Vec<ItemBody>,
}

/// What is to be accepted in one commit.
#[derive(Default)]
struct Step {
    indices: Vec<usize>,
    acceptances: Vec<Acceptance>,
    users: usize,
}

impl Step {
    fn has_room_for(&self, users: usize) -> bool {
        self.indices.is_empty()
            || self.indices.len() < limits::BATCH_STEP_ITEMS_MAX
                && self.users + users <= limits::BATCH_STEP_USERS_MAX
    }

    fn add(&mut self, index: usize, acceptance: Acceptance, users: usize) {
        self.indices.push(index);
        self.acceptances.push(acceptance);
        self.users += users;
    }
}

impl<'a> Intake<'a> {
    fn new(api: &'a Api, app: AppId, time: TimeLeft) -> Self {
        Self { api, app, time, step: Step::default(), has_begun: false, stopped: None, results: Vec::new() }
    }

    /// Reads an item, and accepts what has gathered before it where it would become too much for one commit.
    async fn take(&mut self, index: usize, item: &[u8]) {
        if let Some(problem) = &self.stopped {
            let problem = problem.clone();
            return self.refuse(index, &problem);
        }
        match self.read(item) {
            Ok(acceptance) => {
                let users = users_of(&acceptance.notification.recipients);
                if !self.step.has_room_for(users) {
                    self.accept_step().await;
                }
                self.step.add(index, acceptance, users);
            }
            Err(problem) => self.refuse(index, &problem),
        }
    }

    /// The hash is of the item as it stands in the body, its key included: byte for byte, as with a single request.
    fn read(&self, bytes: &[u8]) -> Result<Acceptance, Problem> {
        let item = ItemRequest::parse(bytes)?;
        let key = item.key()?;
        let idempotency = key.map(|key| Idempotency { key, body_hash: *blake3::hash(bytes).as_bytes() });
        let api = self.api;
        let notification = item.notification.check(self.app, api.clock.now(), &*api.chance, &api.projects)?;
        Ok(Acceptance { notification, idempotency })
    }

    async fn accept_step(&mut self) {
        let step = std::mem::take(&mut self.step);
        if self.stopped.is_none() && self.time.is_over() {
            let detail = "the request's time was up before this item's turn came; send it again";
            let problem = Problem::new(ProblemKind::Unfinished, detail).retry_after(Duration::from_secs(1));
            self.stopped = Some(problem);
        }
        if self.stopped.is_none() {
            match self.api.engine.accept(step.acceptances).await {
                Ok(answers) => {
                    self.has_begun = true;
                    let mut answers = answers.into_iter();
                    step.indices.into_iter().for_each(|index| self.answer(index, answers.next()));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "a step of a batch was not accepted");
                    self.stopped = Some(Problem::from(error));
                }
            }
        }
        if let Some(problem) = self.stopped.clone() {
            step.indices.into_iter().for_each(|index| self.refuse(index, &problem));
        }
    }

    fn answer(&mut self, index: usize, answer: Option<Answer>) {
        let (id, deliveries, replayed) = match answer {
            Some(Answer::Accepted { id, deliveries }) => (id, deliveries, false),
            Some(Answer::Replayed { id, deliveries }) => (id, deliveries, true),
            Some(Answer::KeyReused) => {
                let detail = format!(
                    "this {KEY_FIELD} came with another body within the last 24 hours; nothing was accepted"
                );
                return self
                    .refuse(index, &Problem::new(ProblemKind::IdempotencyKeyReused, detail).at(KEY_FIELD));
            }
            None => {
                return self.refuse(index, &Problem::new(ProblemKind::Internal, "the engine gave no answer"));
            }
        };
        let outcome = ItemOutcome::Taken { id, deliveries, replayed };
        self.results.push(ItemBody { index, status: StatusCode::ACCEPTED.as_u16(), outcome });
    }

    fn refuse(&mut self, index: usize, problem: &Problem) {
        let outcome = ItemOutcome::Refused { problem: problem.document(None) };
        self.results.push(ItemBody { index, status: problem.status().as_u16(), outcome });
    }

    /// Accepts what is left, and sums up. Where nothing was accepted because the store or the time failed from the
    /// beginning, that is the whole request's problem: who only looks at the status is told to come back too.
    async fn finish(mut self) -> Result<BatchBody, Problem> {
        if !self.step.indices.is_empty() {
            self.accept_step().await;
        }
        if let Some(problem) = self.stopped.filter(|_| !self.has_begun) {
            return Err(problem);
        }
        self.results.sort_unstable_by_key(|item| item.index);
        let mut batch = BatchBody { items: self.results, ..BatchBody::default() };
        for item in &batch.items {
            match item.outcome {
                ItemOutcome::Taken { replayed: false, .. } => batch.accepted += 1,
                ItemOutcome::Taken { replayed: true, .. } => batch.replayed += 1,
                ItemOutcome::Refused { .. } => batch.refused += 1,
            }
        }
        Ok(batch)
    }
}

/// How many users have to be looked up for a notification.
fn users_of(recipients: &Recipients) -> usize {
    match recipients {
        Recipients::Users(users) => users.len(),
        Recipients::Device { .. } | Recipients::Literal { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::chance::SeededChance;
    use pabal_core::clock::Timestamp;

    use super::*;

    #[test]
    fn a_step_is_bounded_by_its_items_and_by_its_users() {
        let (projects, now) =
            (crate::api::Projects::new(&crate::config::FcmSection::default()), Timestamp::default());
        let filled = |users: usize| {
            let mut step = Step::default();
            while step.has_room_for(users) {
                let item = ItemRequest::parse(br#"{"to":{"user":"ann"},"title":"t"}"#).unwrap();
                let chance = SeededChance::from_seed(1);
                let notification = item.notification.check(AppId::DEFAULT, now, &chance, &projects).unwrap();
                step.add(0, Acceptance { notification, idempotency: None }, users);
            }
            step.indices.len()
        };
        assert_eq!(filled(1), limits::BATCH_STEP_ITEMS_MAX);
        assert_eq!(filled(300), limits::BATCH_STEP_USERS_MAX / 300);
        assert_eq!(filled(1001), 1, "one always has room");
    }
}
