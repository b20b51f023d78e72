//! Which way the statements walk: along indexes, and listings in their order.

use super::*;

/// The steps of a statement, as SQLite plans it; its parameters may be missing for that.
fn plan(stage: &Stage, sql: &str) -> Vec<String> {
    let steps = stage.core.with(|tx| {
        let mut statement = tx.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        Ok(statement.raw_query().mapped(|row| row.get(3)).map(std::result::Result::unwrap).collect())
    });
    steps.unwrap()
}

#[test]
fn statements_walk_along_indexes() {
    let stage = Stage::new();
    let statements = [
        accept::ANSWERED,
        counters::MOVE_NOTIFICATION,
        counters::MOVE_TOTAL,
        counters::THIN_NOTIFICATION,
        delivery::DELIVERY,
        delivery::FINISH,
        delivery::KEPT,
        delivery::OPEN,
        end::MARK_FAN_OUT_OF_APP,
        end::MARK_FAN_OUTS_PAST_EXPIRY,
        erase::DELETE_REDRIVES,
        erase::DELIVERIES,
        fan_out::FAN_OUT,
        keys::FIND,
        keys::FORGET,
        keys::TOO_OLD,
        messages::LANE,
        messages::MESSAGE,
        page::RECIPIENTS,
        page::TURN,
        record::MARK,
        record::SETTLE,
        record::SETTLE_FAN_OUT,
        prune::DELIVERIES,
        prune::ENDED,
        prune::MAY_GO,
        prune::REDRIVES,
        remove::DELETE_ATTEMPTS,
        remove::DELIVERY,
        remove::HAS_DELIVERIES,
        resolve::DEVICE,
        resolve::DEVICES,
        scan::DELIVERIES,
        scan::DELIVERIES_OF_APP,
        scan::DELIVERIES_OF_NOTIFICATION,
        scan::DELIVERIES_OF_USER,
        scan::FAN_OUTS,
        scan::FAN_OUTS_OF_APP,
        scan::ONE_DELIVERY,
        scan::ONE_FAN_OUT,
        past_expiry::DELIVERIES,
        past_expiry::FAN_OUTS,
        past_expiry::NOTIFICATION_OF,
        past_expiry::NOTIFICATIONS,
    ];
    for sql in statements {
        let plan = plan(&stage, sql);
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{sql}\n{plan:#?}");
    }
    // What is in this index is walked whole, step by step.
    let named = plan(&stage, erase::NAMED);
    assert!(named[0].contains("USING INDEX notification_states_unled"), "{named:?}");
    // Only open fan-outs are in this index, and all of them are meant.
    let marks = plan(&stage, end::MARK_FAN_OUTS_OF_APP);
    assert!(marks[0].ends_with("USING INDEX notification_states_due"), "{marks:?}");
}

#[test]
fn listings_need_no_sorting() {
    let stage = Stage::new();
    let in_order = [
        scan::DELIVERIES,
        scan::DELIVERIES_OF_APP,
        scan::FAN_OUTS,
        scan::FAN_OUTS_OF_APP,
        past_expiry::DELIVERIES,
        past_expiry::FAN_OUTS,
        past_expiry::NOTIFICATIONS,
        erase::NAMED,
        prune::DELIVERIES,
        prune::ENDED,
        prune::REDRIVES,
        keys::TOO_OLD,
    ];
    for sql in in_order {
        let plan = plan(&stage, sql);
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
    }
    let open = plan(&stage, scan::DELIVERIES);
    assert!(open[0].contains("(due_at,id)>(?,?)"), "a page begins where the last one ended: {open:?}");
    let past_expiry = plan(&stage, past_expiry::NOTIFICATIONS);
    assert!(past_expiry[0].contains("(expires_at,id)>(?,?) AND expires_at<?"), "{past_expiry:?}");
    let of_one = plan(&stage, past_expiry::DELIVERIES);
    assert!(of_one[0].contains("(notification=? AND id>?)"), "{of_one:?}");
}
