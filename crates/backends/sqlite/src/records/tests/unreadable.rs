//! Rows that can't be read: bits that flipped, words of another program. Each is told of alone, and the others go on.

use super::*;

/// What can happen to the delivery that user `bad` is to get.
const DAMAGES: [&str; 6] = [
    "UPDATE notifications SET message = '{' WHERE id = (SELECT notification FROM deliveries WHERE user = 'bad')",
    "UPDATE devices SET platform = 'abacus' WHERE user = 'bad'",
    "UPDATE devices SET target = CAST(x'FF' AS TEXT) WHERE user = 'bad'",
    "UPDATE devices SET mark = 'retired', mark_reason = '', mark_at = 0, credential = '' WHERE user = 'bad'",
    "UPDATE delivery_states SET state = 3, reason = 'gibberish', finished_at = 1
        WHERE id = (SELECT id FROM deliveries WHERE user = 'bad')",
    "PRAGMA ignore_check_constraints = ON;
        UPDATE notifications SET lane = 'slow' WHERE id = (SELECT notification FROM deliveries WHERE user = 'bad')",
];

/// A stage on which `bad`, among others, is to get something.
fn stage() -> Stage {
    let mut stage = Stage::new();
    for name in ["ann", "bad", "cal"] {
        stage.register(name, "phone", &android(name));
        stage.accept(to_users(&[name]));
    }
    stage
}

#[test]
fn one_unreadable_delivery_stops_no_other() {
    for damage in DAMAGES {
        let stage = stage();
        stage.execute(damage);
        stage.core.forget();
        let claimed = stage.claim();
        assert_eq!((claimed.work.len(), claimed.unreadable, claimed.dropped), (2, 1, 0), "{damage}");
        assert_eq!(stage.count("SELECT count(*) FROM queue"), 3, "{damage}");

        stage.clock.advance(limits::UNREADABLE_RETRY_MS - 1);
        let claimed = stage.claim();
        assert_eq!((claimed.work.len(), claimed.unreadable), (2, 0), "it waits while leases end: {damage}");
        stage.clock.advance(1);
        let claimed = stage.claim();
        assert_eq!((claimed.work.len(), claimed.unreadable), (0, 1), "{damage}");
    }
}

#[test]
fn what_is_repaired_is_worked_on() {
    let stage = stage();
    let readable = stage.pairs("SELECT message, 1 FROM notifications").into_keys().next().unwrap();
    stage.execute(DAMAGES[0]);
    stage.core.forget();
    assert_eq!(stage.claim().unreadable, 1);
    stage.execute(&format!("UPDATE notifications SET message = '{readable}'"));
    stage.clock.advance(limits::UNREADABLE_RETRY_MS);
    assert_eq!((stage.claim().work.len(), stage.claim().unreadable), (3, 0));
}

#[test]
fn an_unreadable_fan_out_stops_no_other() {
    let mut stage = Stage::new();
    let later = stage.now().plus_ms(5);
    let (bad, _, _) = stage.accept(to_token("bad").send_at(later));
    stage.accept(to_token("good").send_at(later));
    stage.execute(&format!(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE notifications SET lane = 'slow' WHERE id = x'{}'",
        bad.as_bytes().map(|byte| format!("{byte:02x}")).concat()
    ));
    stage.clock.advance(5);
    let claimed = stage.claim();
    assert_eq!((claimed.work.len(), claimed.unreadable), (1, 1));
    stage.clock.advance(2 * 24 * HOUR_MS);
    assert_eq!(stage.expire(None, 1).ended, 1, "it does not hide the other's expiry");
}

#[test]
fn what_is_unreadable_ends_all_the_same() {
    for damage in DAMAGES {
        let stage = stage();
        stage.execute(damage);
        stage.core.forget();
        let still_open = stage.count("SELECT count(*) FROM delivery_states WHERE state < 2");
        stage.clock.advance(24 * HOUR_MS);
        let mut after = None;
        for _ in 0..still_open {
            let step = stage.expire(after, 1);
            assert_eq!(step.ended, 1, "{damage}");
            after = step.next;
        }
        assert_eq!(stage.count("SELECT count(*) FROM delivery_states WHERE state < 2"), 0, "{damage}");
    }
}

#[test]
fn what_even_its_route_is_unknown_of_hides_nothing() {
    let mut stage = Stage::new();
    for n in 0..3 {
        stage.accept(to_token(&format!("bad {n}")));
    }
    stage.execute("UPDATE routes SET name = 'nowhere'");
    stage.core.forget();
    for n in 0..3 {
        stage.accept(to_token(&format!("good {n}")));
    }
    stage.clock.advance(24 * HOUR_MS);
    let first = stage.expire(None, 2);
    assert_eq!((first.ended, first.next.is_some()), (2, true));
    assert_eq!(stage.expire(first.next, 2), EndSummary { ended: 1, in_flight: 0, next: None });
    let listed = Stage::done(stage.core.open_work(&Selection::App(APP), Reason::TtlEnded, None, 9));
    assert_eq!(listed, []);
    assert_eq!(stage.count("SELECT count(*) FROM delivery_states WHERE state < 2"), 3);
}

/// The one dead delivery is not opened again, and still counts as dead.
fn stays_dead(stage: &Stage) {
    stage.core.forget();
    let reopened = Stage::done(stage.core.reopen(APP, &DeadFilter::all(), None, 10));
    assert_eq!((reopened.work, reopened.next), (Vec::new(), None));
    assert_eq!(stage.count("SELECT count(*) FROM delivery_states WHERE state = 3"), 1);
    assert_eq!(stage.count("SELECT dead FROM notification_states WHERE dead + scheduled > 0"), 1);
    stage.recount();
}

#[test]
fn what_cannot_be_queued_is_not_opened_again() {
    for damage in [
        "UPDATE notifications SET lane = 'slow'",
        "UPDATE notifications SET lane = CAST(x'FF' AS TEXT)",
        "UPDATE routes SET name = 'nowhere ' || route; DELETE FROM devices",
        "UPDATE delivery_states SET route = NULL; DELETE FROM devices",
    ] {
        let mut stage = Stage::new();
        stage.register("ann", "phone", &android("a"));
        let (_, _, work) = stage.accept(to_users(&["ann"]));
        stage.die(the_one(&work));
        stage.execute(&format!("PRAGMA ignore_check_constraints = ON; {damage}"));
        stays_dead(&stage);
    }
}

#[test]
fn whose_life_cannot_be_renewed_is_not_opened_again() {
    let mut stage = Stage::new();
    let (_, _, work) = stage.accept(to_token("a"));
    stage.die(the_one(&work));
    stage.clock.advance(40 * 24 * HOUR_MS);
    stage.execute("PRAGMA ignore_check_constraints = ON; UPDATE notification_states SET state = 9");
    stays_dead(&stage);
}

/// What damages one row is told by SQLite while another of the same delivery is written already.
#[test]
fn what_cannot_be_removed_whole_stays_whole() {
    let mut stage = Stage::new();
    let (_, _, work) = stage.accept(to_token("a"));
    stage.die(the_one(&work));
    // Its index has lost it.
    stage.execute(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'devices_marked')
            WHERE name = 'delivery_states_dead';
         PRAGMA writable_schema = RESET",
    );
    assert_eq!(stage.core.with(|tx| purge(tx, &work)).unwrap(), 0);
    assert_eq!(stage.count("SELECT count(*) FROM attempts"), 1);
}

#[test]
fn what_is_dead_no_longer_is_not_opened_again() {
    let mut stage = Stage::new();
    let (_, _, mut work) = stage.accept(to_token("a"));
    stage.die(the_one(&work));
    let (_, _, scheduled) = stage.accept(to_token("b").send_at(stage.now().plus_ms(5)));
    work.extend(scheduled);
    let reopened = || stage.core.with(|tx| reopen(tx, &work)).unwrap().len();
    assert_eq!((reopened(), reopened()), (1, 0));
    stage.recount();
}
