//! Operators who make the store forget, in steps as the API takes them: each on whichever process answers, which may die
//! between two.

use std::future::Future;
use std::sync::Arc;

use pabal_core::Result;
use pabal_core::ids::UserId;
use pabal_core::seam::store::{Erased, Purged};
use pabal_core::seam::{DeadFilter, DeadLetters, Erasure, Selection};

use super::{Client, REPEATS_MAX};
use crate::sim::eyes::APP;
use crate::sim::layers::upkeep::UpkeepLayer;
use crate::sim::names;

/// How many dead letters one step of a purge removes at most.
const PURGED_PER_STEP: std::ops::RangeInclusive<usize> = 1..=3;

impl Client {
    /// Purges what is dead of an order, or all that is dead; where a step fails or its process dies, nobody goes on.
    pub(super) async fn purge(&self, order: Option<usize>) {
        let filter = match order {
            None => DeadFilter::all(),
            Some(order) => match self.world.witness(|witness| witness.book.accepted_as(order)) {
                Some(id) => DeadFilter::of_notification(id),
                None => return,
            },
        };
        let mut after = None;
        loop {
            let max = self.world.draw(|dice| dice.count(PURGED_PER_STEP));
            let filter = filter.clone();
            let step = self
                .step(move |upkeep| async move { upkeep.purge_dead(APP, &filter, after, max).await })
                .await;
            match step {
                Some(Ok(Purged { next: Some(next), purged })) => {
                    self.world.log(|| format!("purged {purged}, and goes on"));
                    after = Some(next);
                }
                Some(Ok(Purged { next: None, .. }) | Err(_)) | None => return,
            }
        }
    }

    /// Cancels what a user has open and erases them; what fails is tried again, or left halfway.
    pub(super) async fn erase(&self, user: usize) {
        let user = names::user(user);
        for _ in 0..REPEATS_MAX {
            let moment = self.world.moment();
            let number = self.world.witness(|witness| witness.erase_begins(&user, moment));
            let cancelled = self.cancel(Selection::User(APP, user.clone())).await;
            if cancelled && self.erase_in_steps(&user).await {
                self.world.log(|| format!("{user} is erased"));
                self.world.witness(|witness| witness.erase_is_done(number));
                return self.servers.eyes().everything();
            }
            if self.world.draw(|dice| dice.chance(300)) {
                return;
            }
            tokio::time::sleep(self.world.draw(|dice| dice.ms(50..=8000))).await;
        }
    }

    /// Answers whether it came to its end. A step that fails is repeated from where it began.
    async fn erase_in_steps(&self, user: &UserId) -> bool {
        let mut after: Option<String> = None;
        let mut failures = 0;
        while failures < REPEATS_MAX {
            let (who, from) = (user.clone(), after.clone());
            let step = self.step(move |upkeep| async move { upkeep.erase_user(APP, &who, from).await }).await;
            match step {
                Some(Ok(Erased { next: None, .. })) => return true,
                Some(Ok(Erased { next, .. })) => after = next,
                Some(Err(_)) | None => {
                    failures += 1;
                    tokio::time::sleep(self.world.draw(|dice| dice.ms(50..=2000))).await;
                }
            }
        }
        false
    }

    async fn step<T, F>(&self, step: impl FnOnce(Arc<UpkeepLayer>) -> F) -> Option<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let servers = Arc::clone(&self.servers);
        self.on_process(|running| step(servers.upkeep(&running.gate))).await
    }
}
