//! Which way the statements of lists walk: along indexes and in their order, so that what bounds a walk bounds its cost.

use rusqlite::Connection;

use super::testing::Db;
use crate::dead::{self, redrives};
use crate::history::lists;
use crate::{keys, marks};

/// The steps of a statement, as SQLite plans it; its parameters may be missing for that.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    statement.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect()
}

/// Each statement, with the first step of its plan.
fn walks() -> Vec<(&'static str, &'static str)> {
    let mut walks = vec![
        (lists::NOTIFICATIONS, "m USING COVERING INDEX notifications_of_app (app=? AND id>? AND id<?)"),
        (lists::BY_ID, "d USING PRIMARY KEY (id>? AND id<?)"),
        (
            lists::OF_NOTIFICATION,
            "d USING INDEX deliveries_of_notification (notification=? AND id>? AND id<?)",
        ),
        (lists::OF_USER, "d USING INDEX deliveries_of_user (app=? AND user=? AND id>? AND id<?)"),
        (lists::DEAD, "s USING INDEX delivery_states_dead (id>? AND id<?)"),
        (marks::MARKED, "devices USING INDEX devices_marked (app=? AND (mark_at,user,device)>(?,?,?)"),
        (marks::RESTORE, "devices USING PRIMARY KEY (app=? AND user=? AND device=?)"),
        (keys::ALL_OF_APP, "keys USING INDEX keys_of_app (app=? AND id<?)"),
        (keys::USABLE_OF_APP, "keys USING INDEX keys_not_revoked (app=? AND id<?)"),
        (keys::COUNT_OF_APP, "keys USING INDEX keys_not_revoked (app=?)"),
        (keys::BY_HASH, "keys USING INDEX"),
        (keys::BY_ID, "keys USING"),
        (keys::REVOKE, "keys USING"),
        (keys::TOUCH, "keys USING PRIMARY KEY (id=?)"),
        (redrives::OF_APP, "redrives USING INDEX redrives_of_app (app=? AND id<?)"),
        (redrives::RUNNING_OF_APP, "redrives USING COVERING INDEX redrives_running (app=?)"),
    ];
    for way in 0..2 {
        walks.extend([
            (dead::ONE[way], "d USING PRIMARY KEY (id"),
            (
                dead::OF_NOTIFICATION[way],
                "d USING INDEX deliveries_of_notification (notification=? AND id>? AND id<?)",
            ),
            (dead::OF_USER[way], "d USING INDEX deliveries_of_user (app=? AND user=? AND id>? AND id<?)"),
            (dead::OF_APP_DELIVERIES[way], "s USING INDEX delivery_states_dead (id>? AND id<?)"),
            (dead::ONE_FAN_OUT[way], "n USING PRIMARY KEY (id"),
            (dead::OF_APP_FAN_OUTS[way], "n USING INDEX notification_states_dead (id>? AND id<?)"),
        ]);
    }
    walks
}

#[test]
fn lists_walk_along_indexes_and_need_no_sorting() {
    let db = Db::new();
    for (sql, first) in walks() {
        let plan = plan(&db.connection, sql);
        assert!(plan[0].starts_with(&format!("SEARCH {first}")), "{sql}\n{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{sql}\n{plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
    }
    // Only running jobs are in this index, and all of them are meant.
    let running = plan(&db.connection, redrives::RUNNING);
    assert!(running[0].ends_with("USING INDEX redrives_running"), "{running:?}");
}
