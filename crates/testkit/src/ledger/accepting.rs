//! Accepting: durable before it answers, and once, however often it is asked for.

use pabal_core::limits;
use pabal_core::seam::{Answer, Want};

use super::*;
use crate::fixtures::{all_routes, android, android_route, ids, to_token, to_users};

// ledger.md L1
pub async fn what_is_accepted_survives_a_restart(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let id = stage.accept(to_users(&["ann"]).titled("Day 7")).await;
    let before = (stage.notification(id).await, stage.deliveries(id).await);
    assert_eq!(before.1.len(), 1);
    stage.restart().await;
    assert_eq!((stage.notification(id).await, stage.deliveries(id).await), before);
    let work = stage.claim_one().await;
    assert_eq!(crate::fixtures::content(&work).message.title.as_deref(), Some("Day 7"));
}

// ledger.md L2
pub async fn the_same_request_again_gets_the_first_answer(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let now = to_users(&["ann"]).key("now", 1);
    let later = to_users(&["ann"]).key("later", 1).send_at(stage.now().plus_ms(60_000));
    for (draft, deliveries) in [(now, Some(1)), (later, None)] {
        let (first, second) = (stage.next_id(), stage.next_id());
        let accepted = stage.accept_as(draft.clone().build(first)).await;
        assert_eq!(accepted.answer, Answer::Accepted { id: first, deliveries });
        stage.register("ann", "tablet", android("b")).await;
        let again = stage.accept_as(draft.build(second)).await;
        assert_eq!(again.answer, Answer::Replayed { id: first, deliveries });
        assert_eq!(again.waiting, [], "nothing new waits");
        let unknown = stage.store().notification(crate::fixtures::APP, second).await.expect("a read");
        assert_eq!(unknown, None);
    }
}

// ledger.md L3
pub async fn a_key_with_another_body_changes_nothing(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (first, second) = (stage.next_id(), stage.next_id());
    stage.accept_as(to_token("a").key("k", 1).build(first)).await;
    let reused = stage.accept_as(to_token("b").key("k", 2).build(second)).await;
    assert_eq!((reused.answer, reused.waiting.len()), (Answer::KeyReused, 0));
    assert_eq!(stage.store().notification(crate::fixtures::APP, second).await.expect("a read"), None);
    let again = stage.accept_as(to_token("a").key("k", 1).build(second)).await;
    assert_eq!(again.answer, Answer::Replayed { id: first, deliveries: Some(1) }, "the first is remembered");
    assert_eq!(stage.claim().await.len(), 1);
}

// ledger.md L2, L3
pub async fn equal_keys_in_one_batch_are_one_request(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let [one, two, three, four] = std::array::from_fn(|_| stage.next_id());
    let batch = vec![
        to_token("a").key("k", 1).build(one),
        to_token("a").key("k", 1).build(two),
        to_token("b").key("k", 2).build(three),
        to_token("b").build(four),
    ];
    let accepted = stage.ledger().accept(batch, None).await.expect("an accept");
    let answers: Vec<Answer> = accepted.items.iter().map(|item| item.answer).collect();
    let deliveries = Some(1);
    assert_eq!(
        answers,
        [
            Answer::Accepted { id: one, deliveries },
            Answer::Replayed { id: one, deliveries },
            Answer::KeyReused,
            Answer::Accepted { id: four, deliveries },
        ]
    );
    assert_eq!(stage.claim().await.len(), 2);
}

// ledger.md L2
pub async fn of_equal_requests_at_once_one_is_accepted(harness: impl LedgerHarness) {
    const AT_ONCE: usize = 16;
    let mut stage = Stage::open(harness).await;
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (ledger, acceptance) = (stage.ledger(), to_token("a").key("k", 1).build(stage.next_id()));
            tokio::spawn(async move {
                ledger.accept(vec![acceptance], None).await.expect("an accept").items[0].answer
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("an answer"));
    }
    let accepted: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Answer::Accepted { id, .. } => Some(*id),
            Answer::Replayed { .. } | Answer::KeyReused => None,
        })
        .collect();
    let [first] = accepted[..] else { panic!("one is accepted: {answers:?}") };
    let replayed = Answer::Replayed { id: first, deliveries: Some(1) };
    assert_eq!(answers.iter().filter(|answer| **answer == replayed).count(), AT_ONCE - 1);
    assert_eq!(stage.claim().await.len(), 1);
}

// ledger.md L4
pub async fn a_key_is_forgotten_after_a_day(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let [one, two, three] = std::array::from_fn(|_| stage.next_id());
    let day_ms = u64::try_from(limits::IDEMPOTENCY_KEPT_MS).expect("a day");
    stage.accept_as(to_token("a").key("k", 1).build(one)).await;
    stage.advance(day_ms - 1);
    let kept = stage.accept_as(to_token("a").key("k", 1).build(two)).await;
    assert_eq!(kept.answer, Answer::Replayed { id: one, deliveries: Some(1) });
    stage.advance(1);
    let forgotten = stage.accept_as(to_token("b").key("k", 2).build(three)).await;
    assert_eq!(forgotten.answer, Answer::Accepted { id: three, deliveries: Some(1) });
}

// ledger.md L5
pub async fn a_notification_accepted_twice_is_one(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let id = stage.accept(to_token("a")).await;
    // The first answer was lost, and the caller of the seam tries again.
    let again = stage.accept_as(to_token("a").build(id)).await;
    assert_eq!(again.answer, Answer::Replayed { id, deliveries: Some(1) });
    assert_eq!(stage.deliveries(id).await.len(), 1);
    assert_eq!(stage.claim().await.len(), 1);
}

// ledger.md L6
pub async fn an_accept_leases_what_it_is_asked_to_take(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.register("ben", "phone", android("b")).await;
    let acceptance = to_users(&["ann", "ben"]).build(stage.next_id());
    let take = stage.claim_for(Want::Ordinary(vec![(android_route(), 1)]));
    let accepted = stage.ledger().accept(vec![acceptance], Some(take)).await.expect("an accept");
    let one_database = stage.queue_server().await.is_none();
    assert_eq!(accepted.taken.len(), usize::from(one_database), "one is asked for");
    let waiting: Vec<_> = accepted.items[0].waiting.clone();
    assert_eq!(waiting, [(android_route(), 0)]);
    let mut held = ids(&accepted.taken);
    held.extend(ids(&stage.claim().await));
    held.sort_unstable();
    held.dedup();
    assert_eq!(held.len(), 2, "what was not taken waits");
    for work in accepted.taken {
        stage.settle_well(crate::fixtures::delivered(&work)).await;
    }
}

// ledger.md L6
pub async fn an_accept_takes_what_was_due_before_it_first(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let earlier = stage.accept_one(to_token("a")).await;
    stage.advance(1000);
    let acceptance = to_token("b").build(stage.next_id());
    let routes = all_routes().into_iter().map(|route| (route, 1)).collect();
    let take = stage.claim_for(Want::Ordinary(routes));
    let mut taken =
        stage.ledger().accept(vec![acceptance], Some(take.clone())).await.expect("an accept").taken;
    if stage.queue_server().await.is_some() {
        assert!(taken.is_empty(), "nothing is leased where the queue may be out of reach");
        taken = stage.ledger().claim(take).await.expect("a claim").work;
    }
    assert_eq!(ids(&taken), [pabal_core::ids::ItemId::Delivery(earlier)], "nobody overtakes");
}
