//! Whose queue it is, and whether it is completely filled.

use pabal_core::ErrorKind;
use pabal_core::seam::Generation;

use super::*;

// queue.md Q20
pub async fn a_queue_bound_elsewhere_says_to_what(harness: impl QueueHarness) {
    let queue = harness.queue();
    assert_eq!(queue.bind(&binding()).await.expect("the first binding"), None);
    queue.bind(&binding()).await.expect("the same binding");
    let other_store = Binding { store: StoreId::from_bytes([9; 16]), ..binding() };
    let other_layout = Binding { layout: 2, ..binding() };
    let other_shards = Binding { shards: 64, ..binding() };
    for other in [other_store, other_layout, other_shards] {
        let error = queue.bind(&other).await.expect_err("it is bound");
        assert_eq!(error.kind(), ErrorKind::BoundElsewhere);
        assert!(!error.is_temporary());
    }
    let told = queue.bind(&other_store).await.expect_err("it is bound").to_string();
    for store in [binding().store, other_store.store] {
        assert!(told.contains(&store.to_string()), "{told} names both stores");
    }
}

// queue.md Q21
pub async fn a_queue_is_complete_when_its_generation_is_opened(mut harness: impl QueueHarness) {
    let queue = harness.queue();
    queue.bind(&binding()).await.expect("a binding");
    enqueue(&*queue, &[item(1)]).await;
    assert_eq!(claim_up_to(&*queue, 0).await.generation, None, "it is being filled");
    queue.open_generation(Generation(42)).await.expect("it is bound");
    assert_eq!(claim_up_to(&*queue, 0).await.generation, Some(Generation(42)));
    assert_eq!(queue.bind(&binding()).await.expect("a binding"), Some(Generation(42)));
    harness.restart().await;
    let generation = harness.queue().bind(&binding()).await.expect("a binding");
    assert_eq!(generation, Some(Generation(42)), "it is kept with the entries");
}

// queue.md Q21
pub async fn a_wipe_forgets_binding_and_generation(harness: impl QueueHarness) {
    let queue = harness.queue();
    queue.bind(&binding()).await.expect("a binding");
    queue.open_generation(Generation(42)).await.expect("it is bound");
    enqueue(&*queue, &[item(1)]).await;
    harness.wipe().await;
    assert_eq!(queue.contains(&[item(1).id]).await.expect("an answer"), [false]);
    let leased = claim_up_to(&*queue, 10).await;
    assert_eq!((leased.leases.len(), leased.generation), (0, None));
    let error = queue.open_generation(Generation(43)).await.expect_err("the rebuild was overtaken");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(queue.bind(&binding()).await.expect("a new binding"), None);
    queue.open_generation(Generation(44)).await.expect("it is bound");
}
