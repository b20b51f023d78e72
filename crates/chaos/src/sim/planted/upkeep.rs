//! A store that forgets what it should keep, or keeps what it should forget.

use pabal_core::Result;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, UserId};
use pabal_core::seam::store::{DeadFilter, Erased, Prune, Pruned, Purged};
use pabal_core::seam::{Ending, Store};

use super::Plant;

/// Open work that the bug ends in one step at most.
const ENDED_MAX: usize = 1000;

/// A step of pruning, which may forget what is not over.
pub(crate) async fn prune(plant: Option<Plant>, store: &dyn Store, prune: &Prune) -> Result<Pruned> {
    match plant {
        Some(Plant::PruneTakesOpen) => {
            let open = store.scan_open(None, None, ENDED_MAX).await?;
            let ended: Vec<Ending> =
                open.iter().map(|item| Ending { id: item.item.id, leased: false }).collect();
            store.end(&ended, Reason::TtlEnded).await?;
            store.prune(&Prune { ended_ms_ago: 0, ..*prune }).await
        }
        Some(Plant::PruneIsEarly) => store.prune(&Prune { dead_ms_ago: prune.ended_ms_ago, ..*prune }).await,
        Some(Plant::NothingIsPruned) => Ok(Pruned::default()),
        _ => store.prune(prune).await,
    }
}

/// A step of purging, which may forget more than its filter finds.
pub(crate) async fn purge_dead(
    plant: Option<Plant>,
    store: &dyn Store,
    app: AppId,
    filter: &DeadFilter,
    after: Option<ItemId>,
    max: usize,
) -> Result<Purged> {
    let all = DeadFilter::all();
    let filter = if plant == Some(Plant::PurgeTakesAll) { &all } else { filter };
    store.purge_dead(app, filter, after, max).await
}

/// A step of erasing, which may be the last before all is done.
pub(crate) async fn erase_user(
    plant: Option<Plant>,
    store: &dyn Store,
    app: AppId,
    user: &UserId,
    after: Option<String>,
) -> Result<Erased> {
    let erased = store.erase_user(app, user, after).await?;
    let halfway = plant == Some(Plant::EraseStopsHalfway);
    Ok(if halfway { Erased { next: None, ..erased } } else { erased })
}
