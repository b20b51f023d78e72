//! `/v1/notifications`: accept one, look at one, take one back.

mod request;
mod view;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, DeliveryId, IdempotencyKey, NotificationId};
use pabal_core::seam::store::NotificationView;
use pabal_core::seam::{Acceptance, Answer, Idempotency, Selection};

use self::request::NotificationRequest;
use self::view::{AcceptedBody, CancelledBody, NotificationBody};
use super::problem::{Problem, ProblemKind};
use super::query::{NoQuery, Query};
use super::{Api, Shared, body};
use crate::auth::{Granted, Reads, Sends};
use crate::limits;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What the keys of this endpoint are remembered under, so that another endpoint's are others.
const ENDPOINT: &str = "notifications";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/notifications", post(accept))
        .route("/v1/notifications/{id}", get(show).delete(cancel))
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
        .at("Idempotency-Key")),
        None => Err(Problem::new(ProblemKind::Internal, "the engine gave no answer")),
    }
}

fn accepted(id: NotificationId, deliveries: Option<u32>) -> (StatusCode, Json<AcceptedBody>) {
    (StatusCode::ACCEPTED, Json(AcceptedBody { id, deliveries }))
}

/// The caller's key as it is remembered: hashed, because callers build keys of names that are nobody's business, and
/// because then every key fits behind its endpoint.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = header
        .to_str()
        .map_err(|_| Problem::value("Idempotency-Key", "may hold visible ASCII characters only"))?;
    let key = IdempotencyKey::new(text)?;
    let hash = blake3::hash(key.as_str().as_bytes()).to_hex();
    Ok(Some(IdempotencyKey::new(format!("{ENDPOINT}:{hash}"))?))
}

async fn show(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<NotificationBody>, Problem> {
    let id = parse_id(&id)?;
    let mut query = Query::parse(query.as_deref());
    let after: Option<DeliveryId> = query.take("cursor")?;
    let max = query.take_limit()?;
    query.finish()?;
    let view = find(&api, caller.app, id).await?;
    // One more than asked for tells whether another page follows.
    let mut deliveries = api.store.deliveries(caller.app, id, after, max + 1).await?;
    let has_more = deliveries.len() > max;
    deliveries.truncate(max);
    Ok(Json(NotificationBody::new(view, deliveries, has_more, &api.engine.status().pauses)))
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
