//! The suite of every [`Ledger`] and the store under it: `docs/specs/ledger.md`, case by case. It runs over ledgers
//! that are one database and over the composite of two servers alike.

pub mod accepting;
pub mod crashing;
pub mod dead_letters;
pub mod directory;
pub mod ending;
pub mod erasing;
pub mod history;
pub mod keeping;
pub mod listing;
pub mod loading;
pub mod marks;
pub mod paging;
pub mod pruning;
pub mod rebuilding;
pub mod recipients;
pub mod redriving;
pub mod settling;
mod stage;
pub mod taking_turns;
pub(crate) mod walking;

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::seam::{Ledger, Queue, Store};

pub use stage::{OVERDUE_MS, Stage};

use crate::TestClock;
use crate::faults::CutQueue;

/// A ledger under test, and the world around it.
#[async_trait]
pub trait LedgerHarness: Send + Sync + 'static {
    /// How many random histories are worth their time here: more, where nothing is written to a disk.
    const HISTORIES: u32 = 48;

    /// The ledger, as the process that is running now holds it.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// The store under it.
    fn store(&self) -> Arc<dyn Store>;

    /// The clock of the store's server.
    fn clock(&self) -> TestClock;

    /// The queue's server, where that is another than the store's.
    fn queue_server(&self) -> Option<QueueServer>;

    /// Whether leases outlive the process that holds them; an embedded server frees them at its start.
    fn leases_survive_restart(&self) -> bool;

    /// Kills the process that holds the ledger, and starts another over the same data.
    async fn restart(&mut self);
}

/// The server of a queue that is apart from its store.
#[derive(Clone)]
pub struct QueueServer {
    /// Its clock.
    pub clock: TestClock,
    /// The line over which the ledger reaches it.
    pub line: Arc<CutQueue>,
    /// The queue at the other end of the line.
    pub queue: Arc<dyn Queue>,
    /// Takes everything out of it, as `FLUSHALL` does.
    pub wipe: Arc<dyn Fn() + Send + Sync>,
}

/// Every case, as an ordinary test; the expression makes a harness and may `.await`.
#[macro_export]
macro_rules! ledger_suite {
    ($harness:expr) => {
        $crate::cases!(ledger, $harness, {
            accepting: [
                what_is_accepted_survives_a_restart,
                the_same_request_again_gets_the_first_answer,
                a_key_with_another_body_changes_nothing,
                equal_keys_in_one_batch_are_one_request,
                of_equal_requests_at_once_one_is_accepted,
                a_key_is_forgotten_after_a_day,
                a_notification_accepted_twice_is_one,
                an_accept_leases_what_it_is_asked_to_take,
                an_accept_takes_what_was_due_before_it_first,
            ],
            recipients: [
                each_device_of_each_user_gets_one_delivery,
                a_user_without_a_device_is_not_left_out_silently,
                one_device_is_meant_alone,
                an_unknown_device_is_not_left_out_silently,
                a_bare_token_needs_no_device,
                what_is_scheduled_is_resolved_when_it_is_due,
                a_time_to_live_of_zero_gets_its_one_chance,
            ],
            loading: [
                work_is_loaded_as_the_device_is_now,
                work_is_handed_out_on_the_route_of_its_device,
                what_has_expired_is_ended_and_not_handed_out,
                what_waited_for_a_deleted_device_ends,
                what_waited_for_a_moved_address_ends,
                what_waits_for_a_retired_device_ends,
                a_quarantined_device_is_still_tried,
            ],
            settling: [
                a_retry_is_due_at_its_time_and_counts_as_told,
                a_second_settle_is_refused,
                one_refused_settlement_harms_no_other_of_its_batch,
                an_overtaken_attempt_is_recorded_and_the_newer_lease_decides,
                after_the_newer_settle_the_older_is_refused,
                a_late_arrival_turns_dead_into_delivered,
                nothing_leaves_delivered,
                a_token_refreshed_during_the_attempt_supersedes_its_end,
                a_mark_holds_for_the_address_that_was_sent_to,
                a_delivery_can_end_without_an_attempt,
                a_release_counts_nothing,
                an_extended_lease_is_kept,
            ],
            paging: [
                pages_make_one_delivery_for_each_device,
                a_page_run_twice_makes_its_deliveries_once,
                a_page_under_an_overtaken_lease_is_refused,
                a_crash_between_pages_goes_on_at_the_cursor,
                a_fan_out_that_failed_comes_back_after_its_delay,
                a_cancelled_fan_out_makes_no_more_deliveries,
                a_cancel_stops_the_pages_with_its_first_step,
                an_expired_fan_out_makes_no_deliveries,
            ],
            ending: [
                what_waits_is_cancelled_at_once,
                a_cancel_in_flight_lets_the_running_attempt_deliver,
                a_cancel_in_flight_ends_what_would_be_tried_again,
                a_cancel_in_flight_ends_what_its_process_abandons,
                a_cancel_leaves_what_is_final_alone,
                a_cancel_before_expansion_leaves_nothing_to_deliver,
                expiry_ends_what_waits_and_leaves_leases_alone,
                a_selection_ends_nothing_else,
                ending_goes_on_page_by_page,
                expiring_goes_on_past_what_is_leased,
            ],
            redriving: [
                only_what_is_dead_is_redriven,
                a_redriven_delivery_has_a_fresh_budget_and_its_whole_past,
                a_redrive_takes_back_a_cancel,
                past_its_expiry_a_redrive_gives_the_time_to_live_again,
                a_redrive_under_a_clock_set_back_is_settled,
                redriving_goes_on_page_by_page,
                a_dead_fan_out_goes_on_at_its_cursor,
            ],
            crashing: [
                a_crash_in_mid_lease_loses_nothing,
                a_poison_message_dies_alone_and_the_others_arrive,
            ],
            rebuilding: [
                a_wiped_queue_is_rebuilt_from_the_store,
                a_settle_from_before_a_wipe_is_recorded_and_changes_no_queue,
                a_wipe_under_a_clock_set_back_is_settled,
                a_lease_that_the_record_would_refuse_is_not_worked_on,
                a_wiped_fan_out_pages_on_under_a_clock_set_back,
                a_wipe_during_a_rebuild_loses_nothing,
                what_a_failover_lost_is_found,
                what_could_not_be_enqueued_is_found,
                a_claim_whose_answer_was_lost_is_made_again,
                a_settle_that_reached_the_store_alone_is_not_sent_again,
                an_end_that_reached_the_queue_alone_is_put_back,
                what_the_store_does_not_know_is_dropped,
            ],
            taking_turns: [
                workers_that_claim_at_once_never_share_work,
                a_held_route_is_in_no_other_routes_way,
                claims_and_counts_are_bounded,
            ],
            history: [
                a_first_attempt_that_arrived_has_its_timeline,
                a_timeline_shows_every_attempt_in_order,
                counters_equal_a_recount,
                an_app_sees_its_own_alone,
                deliveries_are_listed_page_by_page,
            ],
            directory: [
                an_address_belongs_to_one_device,
                registering_anew_clears_the_mark_and_keeps_the_beginning,
                a_user_has_a_bounded_number_of_devices,
                many_devices_are_put_at_once_or_not_at_all,
                a_deleted_device_is_gone,
            ],
            marks: [
                marked_devices_are_listed_by_the_time_of_their_mark,
                marked_devices_are_found_by_each_filter,
                a_restored_device_gets_deliveries_again,
                devices_are_restored_by_a_filter_step_by_step,
                registering_takes_a_device_off_the_list_of_marks,
            ],
            listing: [
                notifications_are_listed_newest_first_and_filtered,
                deliveries_are_listed_by_each_filter_alone_and_combined,
                paging_shows_each_item_once_though_more_are_added,
                a_filter_that_finds_little_of_much_still_ends,
                a_list_shows_its_app_alone,
            ],
            dead_letters: [
                dead_letters_are_listed_by_each_filter,
                a_purge_removes_what_its_filter_finds_and_nothing_else,
                purging_goes_on_step_by_step,
                a_purged_fan_out_leaves_what_was_made_of_it,
                a_settle_for_what_was_purged_is_refused,
                a_redrive_opens_exactly_what_its_filter_finds,
                a_redrive_job_leaves_out_what_dies_later,
                a_redrive_job_goes_on_after_a_restart,
                a_stop_wins_over_an_advance,
                redrive_jobs_are_bounded_and_listed,
            ],
            erasing: [
                an_erased_user_leaves_counts_and_no_name,
                a_fan_out_skips_who_was_erased,
                what_is_in_flight_for_an_erased_user_is_settled_and_not_tried_again,
                erasing_again_changes_nothing,
                erasing_touches_nobody_else,
            ],
            pruning: [
                nothing_open_is_pruned,
                what_ended_is_pruned_by_its_last_end,
                what_is_dead_is_kept_longer,
                pruning_goes_on_in_bounded_steps,
                a_key_is_answered_though_its_notification_is_pruned,
                jobs_that_ended_are_forgotten,
                a_store_tells_how_big_it_is,
            ],
            keeping: [
                apps_are_made_once_and_listed_by_name,
                there_is_a_bounded_number_of_apps,
                keys_are_listed_newest_first,
                a_key_is_revoked_for_good,
                what_is_known_of_a_key_is_kept,
                an_app_has_a_bounded_number_of_keys,
                keys_are_kept_by_their_hash,
                a_pause_survives_a_restart_and_keeps_its_beginning,
                a_store_keeps_its_identity,
            ],
        });

        // ledger.md L46, delivery-states.md S2, S3, S4, S7
        #[test]
        fn random_histories_match_the_reference_model() {
            $crate::model::check(async || $harness);
        }
    };
}
