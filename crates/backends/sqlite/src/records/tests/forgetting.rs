//! Forgetting: a person, of whom no column says anything any more, and what ended long ago.

use pabal_core::ids::{RedriveId, UserId};
use pabal_core::seam::DeadFilter;
use pabal_core::seam::store::{Erased, NewRedrive, Prune, Pruned};

use super::*;

impl Stage {
    /// One step of erasing.
    fn erase_step(&self, user: &UserId, place: Place) -> Erased {
        self.core.with(|tx| ErasureStep::find(tx.connection, APP, user, place)?.erase(tx, APP, user)).unwrap()
    }

    fn erase(&self, name: &str) -> (Erased, usize) {
        let (mut all, mut after, mut steps) = (Erased::default(), None, 0);
        loop {
            let step = self.erase_step(&user(name), Place::read(after.as_deref()).unwrap());
            assert!(step.deliveries <= erase::ERASED_PER_STEP as u64);
            assert!(step.notifications <= erase::ERASED_PER_STEP as u64);
            all.devices += step.devices;
            all.deliveries += step.deliveries;
            all.notifications += step.notifications;
            steps += 1;
            after = step.next;
            if after.is_none() {
                return (all, steps);
            }
        }
    }

    /// The columns, of all tables, in which a text stands.
    fn columns_with(&self, text: &str) -> Vec<String> {
        let columns =
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let columns = self.core.with(|tx| tx.all("test", columns, [], read)).unwrap();
        let holds = |(table, column): &(String, String)| {
            let count =
                format!("SELECT count(*) FROM {table} WHERE instr(CAST({column} AS TEXT), '{text}') > 0");
            self.count(&count) > 0
        };
        columns
            .iter()
            .filter(|column| holds(column))
            .map(|(table, column)| format!("{table}.{column}"))
            .collect()
    }

    fn prune_step(&self, prune: &Prune) -> Pruned {
        let step = |tx: &crate::tx::Tx<'_>| {
            let found = find_ended(tx.connection, prune, tx.now)?;
            super::prune(tx, prune, &found)
        };
        self.core.with(step).unwrap()
    }

    fn end(&mut self, id: ItemId, state: DeliveryState, reason: Reason) {
        let lease = self.lease(id);
        let change = Change::End(pabal_core::seam::EndAs { state, reason });
        assert_eq!(self.record(Settlement { lease, change }).taken, Taken::Recorded);
    }
}

#[test]
fn nothing_says_anything_of_who_was_erased() {
    let mut stage = Stage::new();
    stage.register("erased-user", "erased-device", &android("erased-token"));
    stage.register("ben", "phone", &android("b"));
    let later = stage.now().plus_ms(1000);
    let titled = |draft: Draft| draft.titled("erased-title");
    stage.accept(titled(to_users(&["erased-user"])));
    stage.accept(to_users(&["erased-user", "ben"]));
    stage.accept(titled(to_device("erased-user", "erased-device")));
    stage.accept(titled(to_device("erased-user", "erased-too")));
    // Those that were never expanded, and the one whose delivery was purged: no delivery leads to them.
    for state in [DeliveryState::Cancelled, DeliveryState::Dead, DeliveryState::Expired] {
        let (_, _, work) = stage.accept(titled(to_users(&["erased-user"]).send_at(later)));
        let reason = [Reason::CancelRequested, Reason::Abandoned, Reason::TtlEnded];
        let reason = reason.into_iter().find(|reason| reason.state() == state).unwrap();
        stage.end(the_one(&work), state, reason);
    }
    stage.accept(titled(to_device("erased-user", "erased-device").send_at(later)));
    let (_, _, work) = stage.accept(titled(to_users(&["erased-user"])));
    stage.die(the_one(&work));
    assert_eq!(stage.core.with(|tx| purge(tx, &work)).unwrap(), 1);
    let filter = DeadFilter::of_user(user("erased-user"));
    let id = RedriveId::new(stage.now(), [1; 10]);
    let job = NewRedrive { id, app: APP, filter, rate_per_s: 1 };
    stage.core.with(|tx| crate::dead::put_redrive(tx, &job, None)).unwrap();
    stage.recount();
    assert_ne!(stage.columns_with("erased-").len(), 0);

    let (erased, _) = stage.erase("erased-user");
    assert_eq!((erased.devices, erased.deliveries, erased.notifications), (1, 4, 9));
    assert_eq!(stage.columns_with("erased-"), Vec::<String>::new());
    assert_eq!(stage.columns_with("ben").len(), 3, "a device, a delivery and a list of recipients");
    stage.recount();
    assert_eq!(stage.erase("erased-user").0, Erased::default(), "and nothing is left to erase");
}

#[test]
fn what_is_removed_between_two_steps_leaves_nobody_behind() {
    for removed_before in 1..=3 {
        let mut stage = Stage::new();
        stage.register("ann", "phone", &android("a"));
        for to in [&["ann", "ben"][..], &["ann"]] {
            let (_, _, work) = stage.accept(to_users(to).titled("for ann"));
            stage.die(the_one(&work));
        }
        let (mut after, mut step) = (None, 0);
        loop {
            step += 1;
            if step == removed_before {
                let dead = DeadFilter::of_user(user("ann"));
                let remove = |tx: &crate::tx::Tx<'_>| {
                    purge(tx, &Dead { app: APP, filter: &dead }.to_do(tx.connection, None, 10)?.found)
                };
                stage.core.with(remove).unwrap();
            }
            after = stage.erase_step(&user("ann"), Place::read(after.as_deref()).unwrap()).next;
            if after.is_none() {
                break;
            }
        }
        let left = stage.columns_with("ann");
        assert!(
            left.is_empty() || left == ["notifications.message"],
            "before step {removed_before}: {left:?}"
        );
        let messages = "SELECT count(*) FROM notifications WHERE instr(message, 'ann') > 0";
        assert_eq!(stage.count(messages), 1, "the one that is ben's too");
        stage.recount();
    }
}

#[test]
fn erasing_goes_on_in_bounded_steps() {
    let mut stage = Stage::new();
    let later = stage.now().plus_ms(1000);
    let many = 2 * erase::ERASED_PER_STEP + 1;
    for _ in 0..many {
        stage.accept(to_users(&["ann", "ben"]));
        stage.accept(to_users(&["ann", "ben"]).send_at(later));
    }
    let (erased, steps) = stage.erase("ann");
    assert_eq!((erased.deliveries, erased.notifications), (many as u64, 2 * many as u64));
    assert_eq!(steps, 7, "three among the notifications, three among the deliveries, and once more");
    assert_eq!(stage.columns_with("ann"), Vec::<String>::new());
    assert!(Place::read(Some("nowhere")).is_err());
}

#[test]
fn a_message_that_was_for_one_person_is_not_remembered() {
    let mut stage = Stage::new();
    let (id, _, _) = stage.accept(to_users(&["ann"]).titled("for her alone"));
    let (shared, _, _) = stage.accept(to_users(&["ann", "ben"]).titled("for both"));
    let title =
        |stage: &Stage, id| stage.core.with(|tx| messages::message_of(tx, id)).unwrap().message.title.clone();
    assert_eq!(title(&stage, id).as_deref(), Some("for her alone"));
    stage.erase("ann");
    assert_eq!(title(&stage, id), None);
    assert_eq!(title(&stage, shared).as_deref(), Some("for both"));
    stage.erase("ben");
    assert_eq!(title(&stage, shared), None, "nobody is left");
}

#[test]
fn a_list_that_cannot_be_read_keeps_nobody_from_being_forgotten() {
    let mut stage = Stage::new();
    stage.accept(to_users(&["ann", "ben"]));
    stage.accept(to_users(&["ann", "cal"]));
    stage.execute("UPDATE notifications SET recipients = '{' WHERE instr(recipients, 'ben') > 0");
    let (erased, _) = stage.erase("ann");
    assert_eq!((erased.deliveries, erased.notifications), (2, 1));
}

const ALL_AGES: Prune = Prune { ended_ms_ago: 0, dead_ms_ago: 0, after: None, rows_max: 10 };

#[test]
fn a_big_notification_goes_over_several_steps_and_is_counted_in_each() {
    let mut stage = Stage::new();
    stage.register("ann", "phone", &android("a"));
    let names: Vec<String> = (0..24).map(|n| format!("nobody {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["ann"]).collect();
    let (_, _, work) = stage.accept(to_users(&names));
    stage.die(the_one(&work));
    let (kept, _, _) = stage.accept(to_token("open"));
    assert_eq!(stage.count("SELECT count(*) FROM attempts"), 1);
    let mut prune = ALL_AGES;
    for left in [15, 5] {
        let step = stage.prune_step(&prune);
        assert_eq!((step.notifications, step.deliveries), (0, 10));
        assert_eq!(stage.count("SELECT count(*) FROM deliveries WHERE user IS NOT NULL"), left);
        stage.recount();
        prune.after = step.next;
        assert!(step.next.is_some());
    }
    assert_eq!(stage.prune_step(&prune), Pruned { notifications: 1, deliveries: 5, next: None });
    stage.recount();
    assert_eq!(stage.count("SELECT count(*) FROM attempts"), 0);
    for table in ["notifications", "notification_states", "deliveries", "delivery_states"] {
        assert_eq!(stage.count(&format!("SELECT count(*) FROM {table}")), 1, "{table}");
    }
    assert!(stage.core.with(|tx| messages::lane_of(tx, kept)).is_ok());
}

#[test]
fn what_opened_again_since_it_was_found_stays() {
    let mut stage = Stage::new();
    let (_, _, work) = stage.accept(to_token("a"));
    stage.die(the_one(&work));
    let found = stage.core.with(|tx| find_ended(tx.connection, &ALL_AGES, tx.now)).unwrap();
    Stage::done(stage.core.reopen(APP, &DeadFilter::all(), None, 1));
    let pruned = stage.core.with(|tx| super::prune(tx, &ALL_AGES, &found)).unwrap();
    assert_eq!(pruned, Pruned::default());
    stage.recount();
}

#[test]
fn a_purge_makes_nothing_younger() {
    let mut stage = Stage::new();
    stage.register("ann", "phone", &android("a"));
    let (_, _, work) = stage.accept(to_users(&["nobody", "ann"]));
    stage.die(the_one(&work));
    stage.clock.advance(HOUR_MS);
    assert_eq!(stage.core.with(|tx| purge(tx, &work)).unwrap(), 1);
    assert_eq!(stage.core.with(|tx| purge(tx, &work)).unwrap(), 0);
    stage.recount();
    let an_hour = Prune { ended_ms_ago: HOUR_MS, dead_ms_ago: 9 * HOUR_MS, ..ALL_AGES };
    assert_eq!(stage.prune_step(&an_hour), Pruned { notifications: 1, deliveries: 1, next: None });
}

#[test]
fn where_its_row_does_not_know_its_deliveries_say_when_it_ended() {
    let mut stage = Stage::new();
    for name in ["ann", "ben"] {
        stage.register(name, "phone", &android(name));
    }
    let (_, _, work) = stage.accept(to_users(&["ann", "ben"]).ttl_s(24 * 3600));
    stage.die(work[0]);
    stage.clock.advance(HOUR_MS);
    let lease = stage.lease(work[1]);
    let content = content(stage.load(&lease));
    stage.record(attempt(&lease, &content, Report::of(Outcome::Delivered), Next::Complete));
    // With the dead one its row forgets when the last of it ended.
    assert_eq!(stage.core.with(|tx| purge(tx, &work)).unwrap(), 1);
    assert_eq!(stage.count("SELECT count(*) FROM notification_states WHERE ended_at IS NULL"), 1);
    let soon = Prune { ended_ms_ago: HOUR_MS / 2, dead_ms_ago: HOUR_MS / 2, ..ALL_AGES };
    stage.clock.advance(HOUR_MS / 2 - 1);
    assert_eq!(stage.prune_step(&soon), Pruned::default());
    stage.clock.advance(1);
    assert_eq!(stage.prune_step(&soon), Pruned { notifications: 1, deliveries: 1, next: None });
}

#[test]
fn old_idempotency_keys_go_though_no_new_ones_come() {
    let mut stage = Stage::new();
    for n in 0..15 {
        stage.accept(to_token("a").key(&format!("k{n}"), 1));
    }
    stage.clock.advance(u64::try_from(limits::IDEMPOTENCY_KEPT_MS).unwrap() + 2 * HOUR_MS);
    stage.prune_step(&ALL_AGES);
    assert_eq!(stage.count("SELECT count(*) FROM idempotency"), 5);
}

#[test]
fn what_cannot_be_read_holds_nothing_up() {
    let mut stage = Stage::new();
    let mut work = Vec::new();
    for n in 0..3 {
        let (_, _, items) = stage.accept(to_token(&format!("t{n}")));
        stage.die(the_one(&items));
        work.extend(items);
    }
    let unreadable = format!(
        "UPDATE delivery_states SET reason = 'gibberish' WHERE id = x'{}'",
        work[1].as_bytes().map(|byte| format!("{byte:02x}")).concat()
    );
    stage.execute(&unreadable);
    let reopened = Stage::done(stage.core.reopen(APP, &DeadFilter::all(), None, 10));
    assert_eq!((reopened.work.len(), reopened.next), (2, None));
    for item in [work[0], work[2]] {
        stage.die(item);
    }
    assert_eq!(stage.core.with(|tx| purge(tx, &work[..2])).unwrap(), 1);
    let pruned = stage.prune_step(&ALL_AGES);
    assert_eq!((pruned.deliveries, pruned.next), (1, None), "the unreadable one stays");
}

#[test]
fn a_notification_that_cannot_be_read_whole_stays_whole() {
    let mut stage = Stage::new();
    for name in ["ann", "ben"] {
        stage.register(name, "phone", &android(name));
    }
    let (_, _, work) = stage.accept(to_users(&["ann", "ben"]));
    work.iter().for_each(|id| stage.die(*id));
    stage.execute(
        "UPDATE delivery_states SET reason = 'gibberish' WHERE id = (SELECT max(id) FROM delivery_states)",
    );
    assert_eq!(stage.prune_step(&ALL_AGES), Pruned::default());
    assert_eq!(stage.count("SELECT count(*) FROM deliveries"), 2);
}
