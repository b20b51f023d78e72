//! The pauses that a process keeps in the store, behind its gate.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::route::Route;
use pabal_core::seam::Pauses;
use pabal_core::seam::store::Pause;

use crate::sim::gate::{Call, Gate, Server};

/// Pauses behind a gate.
pub(crate) struct PausesLayer {
    pub(crate) inner: Arc<dyn Pauses>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl Pauses for PausesLayer {
    async fn put_pause(&self, pause: &Pause) -> Result<()> {
        let call = Call::write(Server::Store, "put_pause");
        self.gate.call(call, self.inner.put_pause(pause), |()| {}).await
    }

    async fn clear_pause(&self, route: &Route) -> Result<bool> {
        let call = Call::write(Server::Store, "clear_pause");
        self.gate.call(call, self.inner.clear_pause(route), |_| {}).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        let call = Call::read(Server::Store, "pauses");
        self.gate.call(call, self.inner.pauses(), |_| {}).await
    }
}
