//! The simulator's own promises: a seed is the same run for ever, and a bug is found.

use super::invariant::Invariant;
use super::planted::Plant;
use super::seed::{self, How};

/// Seeds within which each planted bug must be found.
const FOUND_WITHIN: u64 = 400;

#[test]
fn a_seed_replays_exactly() {
    let how = How { logs: true, ..How::default() };
    for number in 0..100 {
        let (first, second) = (seed::run(number, how).unwrap(), seed::run(number, how).unwrap());
        let differs = first.events.iter().zip(&second.events).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {number}");
        assert_eq!(first.events.len(), second.events.len(), "seed {number}");
    }
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    for number in 0..100 {
        let seed = seed::run(number, How::default()).unwrap();
        assert!(seed.tally.violations().is_empty(), "seed {number}: {:?}", seed.tally.violations());
    }
}

fn finds(plant: Plant) {
    let how = How { plant: Some(plant), ..How::default() };
    let broken = |number: &u64| !seed::run(*number, how).unwrap().tally.violations().is_empty();
    let found = (0..FOUND_WITHIN).find(broken);
    assert!(found.is_some(), "{plant:?} was not found within {FOUND_WITHIN} seeds");
}

#[test]
fn a_settle_without_the_epoch_check_is_found() {
    finds(Plant::SettleWithoutEpoch);
}

#[test]
fn a_queue_that_is_settled_before_the_store_is_found() {
    finds(Plant::QueueBeforeStore);
}

#[test]
fn an_answer_before_the_commit_is_found() {
    finds(Plant::AnswerBeforeCommit);
}

#[test]
fn a_reconciler_that_is_off_is_found() {
    finds(Plant::NoReconciler);
}

#[test]
fn a_cursor_that_goes_back_is_found() {
    finds(Plant::CursorGoesBack);
}

#[test]
fn a_cancel_that_takes_what_is_leased_is_found() {
    finds(Plant::CancelTakesLeased);
}

/// Finds a bug as what it is.
fn finds_as(plant: Plant, invariant: Invariant) {
    let how = How { plant: Some(plant), ..How::default() };
    let breaks = |number: &u64| {
        let seed = seed::run(*number, how).unwrap();
        seed.tally.violations().iter().any(|violation| violation.invariant == invariant)
    };
    let found = (0..FOUND_WITHIN).find(breaks);
    assert!(found.is_some(), "{plant:?} was not found as {invariant:?} within {FOUND_WITHIN} seeds");
}

#[test]
fn a_pruner_that_takes_what_is_open_is_found() {
    finds_as(Plant::PruneTakesOpen, Invariant::OnlyTheEndedIsForgotten);
}

#[test]
fn dead_letters_that_are_pruned_early_are_found() {
    finds_as(Plant::PruneIsEarly, Invariant::OnlyTheEndedIsForgotten);
}

#[test]
fn a_pruner_that_is_off_is_found() {
    finds_as(Plant::NothingIsPruned, Invariant::WhatEndedIsForgotten);
}

#[test]
fn a_purge_that_takes_more_than_its_filter_finds_is_found() {
    finds_as(Plant::PurgeTakesAll, Invariant::OnlyTheEndedIsForgotten);
}

#[test]
fn an_erasure_that_stops_halfway_is_found() {
    finds_as(Plant::EraseStopsHalfway, Invariant::ErasedStaysErased);
}
