//! Pauses of routes.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::route::Route;

/// A pause of routes, as it is kept: it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Which route.
    pub route: Route,
    /// Why, in words for the operator.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Pauses.
#[async_trait]
pub trait Pauses: Send + Sync {
    /// Keeps a pause; one that is there already stays as it is.
    async fn put_pause(&self, pause: &Pause) -> Result<()>;

    /// Ends the pause of a route. Answers whether there was one.
    async fn clear_pause(&self, route: &Route) -> Result<bool>;

    /// All pauses.
    async fn pauses(&self) -> Result<Vec<Pause>>;
}
