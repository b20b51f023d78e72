//! Every metric of the engine: its name, its labels and its meaning. docs/guide/metrics.md is held against this.

use super::family::{Described, Measured};
use super::histogram::{ITEMS, LATENCY, LATENESS};

/// The labels of a route. A fan-out has the channel `fanout`, and neither credential nor platform.
const ROUTE: &[&str] = &["lane", "channel", "credential", "platform"];

pub(super) static ACCEPTED: Described = Described::counter(
    "pabal_accepted_notifications",
    &["lane", "answer"],
    "Notifications by what came of accepting them: accepted, replayed, key_reused, or failed, because the store took no \
     write.",
);
pub(super) static CALL: Described = Described::histogram(
    "pabal_ledger_call",
    &LATENCY,
    &["call"],
    "How long the ledger took to accept, claim or settle a batch: the commit is part of it.",
)
.in_unit(Measured::Seconds);
pub(super) static CALL_FAILED: Described =
    Described::counter("pabal_ledger_call_failures", &["call"], "Calls to the ledger that failed.");

pub(super) static CLAIM_ITEMS: Described =
    Described::histogram("pabal_claim_items", &ITEMS, &[], "How much one claim gave.");
pub(super) static LATENESS_AT_CLAIM: Described = Described::histogram(
    "pabal_lateness",
    &LATENESS,
    &["lane"],
    "How long past its due time work was claimed.",
)
.in_unit(Measured::Seconds);
pub(super) static CLAIMED_ABANDONED: Described = Described::counter(
    "pabal_claimed_abandoned",
    &[],
    "Claims of work whose lease before had ended without an outcome: a process died, or took too long.",
);
pub(super) static CLAIMED_SUSPECTS: Described = Described::counter(
    "pabal_claimed_suspects",
    &[],
    "Claims of work apart, because its processes kept dying.",
);
pub(super) static DROPPED: Described = Described::counter(
    "pabal_claim_dropped",
    &[],
    "Ids that the queue held and the store did not know; they were dropped.",
);
pub(super) static UNREADABLE: Described = Described::counter(
    "pabal_claim_unreadable",
    &[],
    "Claims of work whose record can't be read; it is looked at again later.",
);

pub(super) static ATTEMPTS: Described = Described::counter(
    "pabal_attempts",
    &["channel", "credential", "outcome"],
    "Attempts by what the channel reported.",
);
pub(super) static ATTEMPT_TIME: Described = Described::histogram(
    "pabal_attempt",
    &LATENCY,
    &["channel", "credential"],
    "How long attempts took: from the hand-over to the channel to the provider's answer, or to the deadline.",
)
.in_unit(Measured::Seconds);

pub(super) static SETTLE_ITEMS: Described =
    Described::histogram("pabal_settle_items", &ITEMS, &[], "How many outcomes one settle wrote.");
pub(super) static SETTLEMENTS: Described = Described::counter(
    "pabal_settlements",
    &["answer"],
    "Outcomes by what the store made of them: settled, overtaken by a newer lease, superseded by the device's newer \
     address, refused, or lost, because it could not be written at all.",
);
pub(super) static ENDED: Described = Described::counter(
    "pabal_deliveries_ended",
    &["channel", "state", "reason"],
    "Deliveries that an outcome ended. The channel fanout stands for notifications whose fan-out ended so.",
);
pub(super) static MARKED: Described = Described::counter(
    "pabal_devices_marked",
    &["mark", "reason"],
    "Marks that attempts put on devices: retired or quarantined, on the provider's word.",
);

pub(super) static ENDED_WAITING: Described = Described::counter(
    "pabal_waiting_ended",
    &["reason"],
    "Deliveries, and notifications not yet expanded, that ended while they waited: ttl_ended by the expirer, \
     cancel_requested by a caller.",
);
pub(super) static REPAIRED: Described = Described::counter(
    "pabal_reconciler_repaired",
    &[],
    "Items that the queue had lost and the reconciler put back.",
);
pub(super) static PRUNED: Described = Described::counter(
    "pabal_pruned",
    &["kind"],
    "Rows forgotten after their retention: notifications and deliveries.",
);
pub(super) static REDRIVEN: Described =
    Described::counter("pabal_redriven", &[], "Dead letters that were opened again.");

pub(super) static IN_FLIGHT: Described =
    Described::gauge("pabal_in_flight", &[], "Deliveries and fan-outs between claim and settled.");
pub(super) static IN_FLIGHT_LIMIT: Described = Described::gauge(
    "pabal_in_flight_limit",
    &[],
    "engine.attempts_in_flight_max: one lane alone gets no more than nine tenths of it.",
);
pub(super) static STORE_FAILING: Described = Described::gauge(
    "pabal_store_failing",
    &[],
    "1 while the store takes no writes: nothing is accepted, and no attempt begins.",
);
pub(super) static BROKEN: Described = Described::gauge(
    "pabal_engine_broken",
    &[],
    "1 once a part of the engine has failed for good: only a restart helps.",
);
pub(super) static PAUSED: Described = Described::gauge(
    "pabal_route_paused",
    &["lane", "channel", "credential", "platform", "reason"],
    "1 for each route that is held. The reason is credential_refused; what the provider said is in the log and in \
     /readyz.",
);

pub(super) static QUEUE_ENTRIES: Described =
    Described::gauge("pabal_queue_entries", ROUTE, "What waits on each route, leased entries included.");
pub(super) static QUEUE_LEASED: Described =
    Described::gauge("pabal_queue_leased", ROUTE, "What is under a lease on each route.");
pub(super) static OLDEST_DUE: Described = Described::gauge(
    "pabal_oldest_due_age",
    ROUTE,
    "How long the oldest entry that waits on a route has been due; 0 where nothing is due.",
)
.in_unit(Measured::Seconds);
pub(super) static STORE_SIZE: Described = Described::gauge(
    "pabal_store_size",
    &[],
    "How big the store is; what is free within its file doesn't count.",
)
.in_unit(Measured::Bytes);
pub(super) static DISK_FREE: Described =
    Described::gauge("pabal_disk_free", &[], "What the store's disk has left, where the store can tell.")
        .in_unit(Measured::Bytes);
pub(super) static KEPT: Described = Described::gauge(
    "pabal_deliveries",
    &["state", "reason"],
    "Deliveries in the store by state and reason, over all apps, whoever put them there.",
);
pub(super) static OBSERVED_AGE: Described = Described::gauge(
    "pabal_observation_age",
    &["of"],
    "How old the numbers are that are read in the background: queue, store, deliveries. It grows while the store does \
     not answer.",
)
.in_unit(Measured::Seconds);

/// Every metric of the engine, in the order in which they are exposed.
pub static ENGINE: &[&Described] = &[
    &ACCEPTED,
    &CALL,
    &CALL_FAILED,
    &CLAIM_ITEMS,
    &LATENESS_AT_CLAIM,
    &CLAIMED_ABANDONED,
    &CLAIMED_SUSPECTS,
    &DROPPED,
    &UNREADABLE,
    &ATTEMPTS,
    &ATTEMPT_TIME,
    &SETTLE_ITEMS,
    &SETTLEMENTS,
    &ENDED,
    &MARKED,
    &ENDED_WAITING,
    &REPAIRED,
    &PRUNED,
    &REDRIVEN,
    &IN_FLIGHT,
    &IN_FLIGHT_LIMIT,
    &STORE_FAILING,
    &BROKEN,
    &PAUSED,
    &QUEUE_ENTRIES,
    &QUEUE_LEASED,
    &OLDEST_DUE,
    &STORE_SIZE,
    &DISK_FREE,
    &KEPT,
    &OBSERVED_AGE,
];
