//! `/v1/notifications`: accept one or many, look at them, take one back.

mod batch;
mod fuzzing;
mod items;
mod list;
mod operations;
mod request;
mod view;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Json, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, IdempotencyKey, NotificationId};
use pabal_core::seam::store::NotificationView;
use pabal_core::seam::{Acceptance, Answer, Idempotency, Selection};

pub(in crate::api) use self::fuzzing::{check_batch, check_request};
use self::request::NotificationRequest;
use self::view::{AcceptedBody, CancelledBody, NotificationBody, SummaryBody};
use super::deliveries::DeliveryBody;
use super::problem::{Problem, ProblemKind};
use super::query::{NoQuery, Query};
use super::routes::Routes;
use super::{Api, Shared, body};
use crate::auth::{Granted, Reads, Sends};
use crate::limits;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header as docs and problems write it.
const HEADER_IN_WORDS: &str = "Idempotency-Key";
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const REPLAYED_IN_WORDS: &str = "Idempotency-Replayed";
/// What the keys of this endpoint are remembered under, so that another endpoint's are others.
const ENDPOINT: &str = "notifications";

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/v1/notifications", accept, operations::accept())
        .post("/v1/notifications/batch", batch::accept, operations::accept_batch())
        .get("/v1/notifications", list::list, operations::list())
        .get("/v1/notifications/{id}", show, operations::show())
        .delete("/v1/notifications/{id}", cancel, operations::cancel())
}

async fn accept(
    caller: Granted<Sends>,
    _: NoQuery,
    State(api): State<Shared>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = idempotency_key(request.headers())?;
    let body: body::Json<NotificationRequest> =
        body::read(request, limits::NOTIFICATION_BODY_BYTES_MAX, api.body_timeout).await?;
    let idempotency = key.map(|key| Idempotency { key, body_hash: *blake3::hash(&body.bytes).as_bytes() });
    let notification = body.value.check(caller.app, api.clock.now(), &*api.chance, &api.projects)?;
    let answers = api.engine.accept(vec![Acceptance { notification, idempotency }]).await?;
    match answers.first() {
        Some(Answer::Accepted { id, deliveries }) => Ok(accepted(*id, *deliveries).into_response()),
        Some(Answer::Replayed { id, deliveries }) => {
            let replayed = [(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"))];
            Ok((replayed, accepted(*id, *deliveries)).into_response())
        }
        Some(Answer::KeyReused) => Err(Problem::new(
            ProblemKind::IdempotencyKeyReused,
            "this Idempotency-Key came with another body within the last 24 hours; nothing was accepted",
        )
        .at(HEADER_IN_WORDS)),
        None => Err(Problem::new(ProblemKind::Internal, "the engine gave no answer")),
    }
}

fn accepted(id: NotificationId, deliveries: Option<u32>) -> (StatusCode, Json<AcceptedBody>) {
    (StatusCode::ACCEPTED, Json(AcceptedBody { id, deliveries }))
}

/// The header's key as it is remembered.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // What is not UTF-8 is not ASCII either.
    remembered(HEADER_IN_WORDS, &String::from_utf8_lossy(header.as_bytes())).map(Some)
}

/// The caller's key as it is remembered: hashed, because callers build keys of names that are nobody's business, and
/// because then every key fits behind its endpoint.
fn remembered(field: &str, text: &str) -> Result<IdempotencyKey, Problem> {
    let key = IdempotencyKey::new(text).map_err(|invalid| Problem::invalid_at(field, &invalid))?;
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Problem::value(field, "may hold visible ASCII characters only"));
    }
    let hash = blake3::hash(key.as_str().as_bytes()).to_hex();
    Ok(IdempotencyKey::new(format!("{ENDPOINT}:{hash}"))?)
}

async fn show(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<NotificationBody>, Problem> {
    let id = parse_id(&id)?;
    let mut query = Query::parse(query.as_deref());
    let page = query.take_page(&format!("deliveries of {id}"), caller.app)?;
    query.finish()?;
    let view = find(&api, caller.app, id).await?;
    // One more than asked for tells whether another page follows.
    let mut deliveries = api.store.deliveries(caller.app, id, page.from, page.max + 1).await?;
    let has_more = deliveries.len() > page.max;
    deliveries.truncate(page.max);
    let next = deliveries.last().filter(|_| has_more).map(|last| last.id);
    let pauses = api.engine.status().pauses;
    Ok(Json(NotificationBody {
        notification: SummaryBody::from(view),
        deliveries: deliveries.into_iter().map(|view| DeliveryBody::new(view, &pauses)).collect(),
        next_cursor: page.next_cursor(next),
    }))
}

async fn cancel(
    caller: Granted<Sends>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<CancelledBody>, Problem> {
    let id = parse_id(&id)?;
    find(&api, caller.app, id).await?;
    let selection = Selection::Notification(caller.app, id);
    let summary = api.engine.end(selection, Reason::CancelRequested).await?;
    let after = find(&api, caller.app, id).await?;
    Ok(Json(CancelledBody::new(&after, &summary)))
}

async fn find(api: &Api, app: AppId, id: NotificationId) -> Result<NotificationView, Problem> {
    let view = api.store.notification(app, id).await?;
    view.ok_or_else(|| Problem::not_found("notification"))
}

/// An id that is none belongs to no notification.
fn parse_id(id: &str) -> Result<NotificationId, Problem> {
    id.parse().map_err(|_| Problem::not_found("notification"))
}
