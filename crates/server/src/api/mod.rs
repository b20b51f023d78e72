//! The HTTP API. One file per resource; each brings its own routes. What they share: the caller ([`crate::auth`]),
//! bodies, queries, problems, and the layers around every request.
//!
//! What is deliberately absent: a way in without a key (but for the two health checks), and a field that is accepted
//! and ignored.

pub(crate) mod problem;

mod body;
mod deliveries;
mod devices;
mod health;
mod layers;
mod notifications;
mod projects;
mod query;
mod time;
mod values;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::seam::Store;
use pabal_engine::Engine;
use tokio::sync::Semaphore;

pub(crate) use self::projects::Projects;
use crate::auth::Gate;

/// What every handler can get at.
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) gate: Gate,
    pub(crate) projects: Projects,
    /// Places for requests in flight, over all callers.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) body_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

/// The state of the router.
pub(crate) type Shared = Arc<Api>;

/// All routes.
pub(crate) fn router(api: Shared) -> Router {
    let v1 = Router::new()
        .merge(notifications::routes())
        .merge(deliveries::routes())
        .merge(devices::routes())
        .layer(from_fn_with_state(Arc::clone(&api), layers::bound));
    // The health checks stay outside of the bound: an overloaded server still says how it is.
    let observed = v1
        .merge(health::routes())
        .layer(from_fn_with_state(Arc::clone(&api), layers::observe))
        .with_state(api);
    Router::new().fallback_service(observed).layer(map_response(layers::name_methods))
}
