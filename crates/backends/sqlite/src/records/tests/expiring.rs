//! Ending what is past its expiry, in steps: each costs what it ends, however much waits behind it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const DAY_MS: u64 = 24 * HOUR_MS;
const USERS: usize = 1000;
const STEP: usize = 500;

/// Machine steps of SQLite, as it counts them.
type Cost = Arc<AtomicU64>;

fn counted() -> (Stage, Cost) {
    let mut connection = Connection::open_in_memory().unwrap();
    let cost = Cost::default();
    let counter = Arc::clone(&cost);
    let count = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    };
    connection.progress_handler(10, Some(count)).unwrap();
    (Stage::over(connection), cost)
}

/// Notifications to a thousand users each.
fn accept_many(stage: &mut Stage, notifications: usize) {
    let names: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
    for name in &names {
        stage.register(name, "phone", &android(&format!("token of {name}")));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..notifications {
        let (_, _, work) = stage.accept(to_users(&names));
        assert_eq!(work.len(), USERS);
        stage.clock.advance(1);
    }
}

/// Ends everything, step by step; answers what came of each and what it cost.
fn all_steps(stage: &Stage, cost: &Cost) -> Vec<(EndSummary, u64)> {
    let (mut steps, mut after) = (Vec::new(), None);
    loop {
        cost.store(0, Ordering::Relaxed);
        let step = stage.expire(after, STEP);
        after = step.next;
        steps.push((step, cost.load(Ordering::Relaxed)));
        assert!(steps.len() < 1000, "it comes to an end");
        if after.is_none() {
            return steps;
        }
    }
}

#[test]
fn a_backlog_ends_in_steps_that_cost_alike() {
    let (mut stage, cost) = counted();
    accept_many(&mut stage, 20);
    for _ in 0..5 {
        let in_an_hour = stage.now().plus_ms(3_600_000);
        stage.accept(to_users(&["u1", "u2"]).send_at(in_an_hour));
    }
    let lasting = to_token("lasting").ttl_s(48 * 3600);
    stage.accept(lasting);
    stage.clock.advance(DAY_MS + HOUR_MS);

    let steps = all_steps(&stage, &cost);
    let ended: Vec<u64> = steps.iter().map(|(step, _)| step.ended).collect();
    assert_eq!(ended, [vec![STEP as u64; 40], vec![5]].concat());
    let full = steps[..40].iter().map(|(_, cost)| *cost);
    let (least, most) = (full.clone().min().unwrap(), full.max().unwrap());
    assert!(most < least * 3 / 2, "with 20,000 waiting a step costs what the last one does: {steps:?}");

    stage.recount();
    assert_eq!(stage.count("SELECT count(*) FROM delivery_states WHERE state = 4"), 20_000);
    assert_eq!(stage.count("SELECT count(*) FROM notification_states WHERE state = 4"), 5);
    assert_eq!(stage.count("SELECT count(*) FROM queue"), 1);
    assert_eq!(stage.expire(None, STEP), EndSummary::default());
}

#[test]
fn nothing_hides_behind_leases() {
    let (mut stage, cost) = counted();
    accept_many(&mut stage, 3);
    stage.clock.advance(DAY_MS - 30_000);
    let leased = stage.claim().work.len() as u64;
    assert!(leased > STEP as u64, "more than a whole step holds");
    stage.clock.advance(30_000);

    let sums = |steps: Vec<(EndSummary, u64)>| {
        let of = |count: fn(&EndSummary) -> u64| steps.iter().map(|(step, _)| count(step)).sum::<u64>();
        (of(|step| step.ended), of(|step| step.in_flight))
    };
    assert_eq!(sums(all_steps(&stage, &cost)), (3 * USERS as u64 - leased, leased));
    assert_eq!(sums(all_steps(&stage, &cost)), (0, leased), "they are left alone as long as they are leased");
    stage.clock.advance(30_000);
    assert_eq!(sums(all_steps(&stage, &cost)), (leased, 0));
    stage.recount();
}

#[test]
fn what_a_redrive_has_moved_is_not_past_its_expiry() {
    let mut stage = Stage::new();
    for name in ["ann", "bob", "cal"] {
        stage.register(name, "phone", &android(name));
    }
    let (moved, _, work) = stage.accept(to_users(&["ann", "bob", "cal"]));
    let lease = stage.lease(*work.iter().max().unwrap());
    let sent = content(stage.load(&lease));
    let dead = Next::Dead(Reason::Rejected);
    stage.record(attempt(&lease, &sent, Report::of(Outcome::Rejected), dead));
    stage.clock.advance(1);
    let (_, _, others) = stage.accept(to_token("other"));
    stage.clock.advance(DAY_MS);

    let list = |after| {
        Stage::done(stage.core.open_work(&Selection::PastExpiry, Reason::TtlEnded, after, 1)).remove(0)
    };
    let first = list(None);
    let after = Some((first.due, first.item.id));
    assert!(work.contains(&list(after).item.id));
    Stage::done(stage.core.reopen(APP, &DeadFilter::of_notification(moved), None, 9));
    assert_eq!(list(after).item.id, the_one(&others));
    let unknown = ItemId::Delivery(DeliveryId::derive(moved, "nobody"));
    assert_eq!(list(Some((first.due, unknown))).item.id, the_one(&others));
}
