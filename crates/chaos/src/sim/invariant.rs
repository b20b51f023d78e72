//! What must hold in every world, by name, with how often a run put it to the test.
//!
//! An invariant that no run exercises proves nothing, so the tally counts both: how often it was checked where it
//! could have failed, and how often it failed.

use std::collections::BTreeMap;

macro_rules! invariants {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $rules:literal,)+) => {
        /// What must hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Invariant { $($(#[doc = $doc])+ $variant,)+ }

        impl Invariant {
            /// All of them.
            pub(crate) const ALL: &[Invariant] = &[$(Invariant::$variant),+];

            /// Its name in reports.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Invariant::$variant => $name),+ }
            }

            /// The sentences of docs/specs that it holds the whole system to; those of the engine alone have none.
            pub(crate) const fn rules(self) -> &'static str {
                match self { $(Invariant::$variant => $rules),+ }
            }
        }
    };
}

invariants! {
    /// What was answered 202 is in the store, and ends final; what the store calls delivered arrived.
    AcceptedIsNeverLost = "accepted_is_never_lost", "L1, L35, L39, L41",
    /// A final state comes with the reason that the world really gave.
    EndsForTheRightReason = "ends_for_the_right_reason", "S2, S9, L8, L11, L12, L20",
    /// Nothing arrives that nobody accepted, or under no lease.
    NothingArrivesUnasked = "nothing_arrives_unasked", "L42, C2",
    /// A second arrival has a cause: a crash, an unknown outcome, a lease that ended under way, a wiped queue.
    DuplicatesAreExplained = "duplicates_are_explained", "L40, Q5",
    /// Nothing leaves `delivered`, and states change only as the state machine has it.
    StatesMoveLegally = "states_move_legally", "S3, S4, S8, L17",
    /// Each claim's epoch is above every claim's and settlement's before it.
    EpochsGrow = "epochs_grow", "Q6, L33",
    /// An item has one holder at a time.
    LeasesAreExclusive = "leases_are_exclusive", "Q5, L43",
    /// A settlement that was overtaken by a settled newer lease changes nothing.
    StaleSettlementsAreRefused = "stale_settlements_are_refused", "L15, L16",
    /// What is final is not claimed for another attempt.
    NoAttemptAfterTheEnd = "no_attempt_after_the_end", "L11, L26",
    /// What a caller was told is cancelled is not tried again.
    NoAttemptAfterCancel = "no_attempt_after_cancel", "L25, L27",
    /// A cancel never ends what somebody holds a lease on.
    CancelRespectsLeases = "cancel_respects_leases", "Q17, L27, L28",
    /// A retry never comes before its due time, nor before the provider's `Retry-After`.
    RetryIsNeverEarly = "retry_is_never_early", "L14, C6",
    /// Attempts that the store counts are the attempts that were recorded, and the budget counts the right ones.
    AttemptsAreCounted = "attempts_are_counted", "S7, L31, L45",
    /// An attempt goes to the address that the device has now.
    NewestAddressIsUsed = "newest_address_is_used", "L13, L18",
    /// A fan-out's cursor never goes back.
    CursorNeverGoesBack = "cursor_never_goes_back", "L22, L23",
    /// A fan-out reaches each device once, and no other.
    FanOutIsComplete = "fan_out_is_complete", "L7, L8, L9",
    /// Only the provider's word about the very address retires a device.
    OnlyTheProviderRetires = "only_the_provider_retires", "C7, L19, L49",
    /// Counters equal a recount.
    CountersEqualARecount = "counters_equal_a_recount", "S1, L46",
    /// A queue lets go only of what the store has ended.
    QueueFollowsTheRecord = "queue_follows_the_record", "L40, Q9",
    /// A wiped queue is filled again and opened.
    WipedQueueIsRebuilt = "wiped_queue_is_rebuilt", "L37, Q21",
    /// When all is final, no entry stays in the queue.
    QueueEmpties = "queue_empties", "L40, Q9",
    /// What always kills its process ends dead, and takes nobody with it.
    PoisonEndsAlone = "poison_ends_alone", "L36",
    /// Suspects are claimed apart from the others, equally often abandoned ones together.
    SuspectsAreClaimedApart = "suspects_are_claimed_apart", "Q14, Q15",
    /// Nothing is sent once its time to live is over.
    NothingIsSentExpired = "nothing_is_sent_expired", "L11, C10",
    /// An `Idempotency-Key` accepts once, and its replays answer the same.
    ReplaysAcceptOnce = "replays_accept_once", "L2, L3",
    /// A redrive job comes to its end, over crashes, and stays done.
    RedriveJobsEnd = "redrive_jobs_end", "U2, U4",
    /// Nothing is forgotten that is open, or before its retention is over, unless it is dead and purged.
    OnlyTheEndedIsForgotten = "only_the_ended_is_forgotten", "L59, L60, L69, L70, L71, U7",
    /// What ended longer ago than its retention is forgotten.
    WhatEndedIsForgotten = "what_ended_is_forgotten", "L70, L71, U7",
    /// What is forgotten does not come back, whatever redrive, cancel or replay comes.
    WhatIsForgottenStaysSo = "what_is_forgotten_stays_so", "L5, L72",
    /// A settlement that comes late for what is forgotten is refused.
    LateSettlementsAreRefused = "late_settlements_are_refused", "L61",
    /// An erased user's earlier deliveries and notifications name nobody, and none of them is tried again.
    ErasedStaysErased = "erased_stays_erased", "L65, L66, L67",
    /// Nobody's name goes but that of who is erased.
    ErasingTouchesNobodyElse = "erasing_touches_nobody_else", "L65, L68",
    /// What is in flight stays within the permits.
    PermitsAreBounded = "permits_are_bounded", "",
    /// A route whose credential is refused sends nothing but a probe now and then.
    HeldRouteIsOnlyProbed = "held_route_is_only_probed", "C8",
    /// No attempt begins while outcomes can't be written.
    NoAttemptWhileWritesFail = "no_attempt_while_writes_fail", "",
    /// A graceful stop leaves no lease behind.
    DrainLeavesNoLease = "drain_leaves_no_lease", "",
    /// No backend fails by itself, nothing panics, and the world comes to rest.
    NothingBreaks = "nothing_breaks", "",
}

/// A broken invariant.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) what: String,
}

/// How often each invariant was exercised, and how it was broken.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    exercised: BTreeMap<Invariant, u64>,
    violations: Vec<Violation>,
}

impl Tally {
    /// The invariant was put to the test once; `holds` says whether it held, `what` what was seen if not.
    pub(crate) fn check(&mut self, invariant: Invariant, holds: bool, what: impl FnOnce() -> String) {
        self.chance(invariant);
        if !holds {
            self.broken(invariant, what());
        }
    }

    /// From here on the invariant could be broken.
    pub(crate) fn chance(&mut self, invariant: Invariant) {
        *self.exercised.entry(invariant).or_default() += 1;
    }

    /// The invariant is broken.
    pub(crate) fn broken(&mut self, invariant: Invariant, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// How often an invariant was exercised.
    pub(crate) fn exercised(&self, invariant: Invariant) -> u64 {
        self.exercised.get(&invariant).copied().unwrap_or(0)
    }

    /// How it was broken.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }
}
