//! The HTTP API. One file per resource; each brings its own routes. What they share: the caller ([`crate::auth`]),
//! bodies, queries, problems, and the layers around every request.
//!
//! What is deliberately absent: a way in without a key (but for the two health checks, the documents, and
//! `/metrics` where the operator opens it), and a field that is accepted
//! and ignored.

pub(crate) mod fuzzing;
pub(crate) mod problem;

mod apps;
mod body;
mod cursor;
mod dead_letters;
mod deliveries;
mod devices;
mod document;
mod documents;
mod health;
mod keys;
mod layers;
mod marks;
mod metrics;
mod notifications;
mod projects;
mod query;
mod routes;
mod stats;
mod time;
mod time_left;
mod users;
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

pub use self::document::openapi;
pub(crate) use self::projects::Projects;
use self::routes::Routes;
use crate::auth::Gate;
use crate::docs;
use crate::metrics::Scrape;

/// What every handler can get at.
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) projects: Projects,
    pub(crate) scrape: Scrape,
    /// Whether a scrape needs no key.
    pub(crate) metrics_open: bool,
    /// Places for requests in flight, over all callers.
    pub(crate) places: Arc<Semaphore>,
    /// Places for batches, whose bodies are large.
    pub(crate) batches: Arc<Semaphore>,
    pub(crate) body_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// How much of that work in steps may take.
    pub(crate) steps_time: Duration,
}

/// The state of the router.
pub(crate) type Shared = Arc<Api>;

/// What needs a key.
fn of_callers() -> Routes {
    Routes::new()
        .merge(notifications::routes())
        .merge(deliveries::routes())
        .merge(devices::routes())
        .merge(marks::routes())
        .merge(users::routes())
        .merge(dead_letters::routes())
        .merge(stats::routes())
        .merge(keys::routes())
        .merge(apps::routes())
}

/// What is answered whatever else goes on: an overloaded server still says how it is.
fn of_observers() -> Routes {
    health::routes().merge(metrics::routes()).merge(documents::routes())
}

fn all_routes() -> Routes {
    of_callers().merge(of_observers())
}

/// The path of every route, as `/v1/users/{user}/devices`.
pub fn paths() -> Vec<&'static str> {
    all_routes().paths()
}

/// All routes.
pub(crate) fn router(api: Shared) -> Router {
    let v1 = of_callers().into_router().layer(from_fn_with_state(Arc::clone(&api), layers::bound));
    let observed = v1
        .merge(of_observers().into_router())
        .merge(docs::files())
        .layer(from_fn_with_state(Arc::clone(&api), layers::observe))
        .with_state(api);
    Router::new().fallback_service(observed).layer(map_response(layers::name_methods))
}
