//! Group commit: many jobs, few commits, and each job alone with its failure.

use pabal_core::clock::Timestamp;
use pabal_core::limits::DEVICES_PER_USER_MAX;
use pabal_core::seam::store::Pause;
use pabal_core::seam::{DeadFilter, Directory, Keys, Ledger, Pauses, Records, Redriven, Reopened};
use pabal_core::{ErrorKind, Result};
use pabal_testkit::fixtures::{APP, android, device, user};
use tokio::task::JoinSet;

use crate::world::{World, all_are_submitted, commits_in_log, key};

const CALLERS: usize = 200;

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let world = World::new();
    let store = world.open().store();
    let before = commits_in_log(&world.path());

    // While somebody else holds the file, everybody queues up behind the first.
    let held = world.raw();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls = JoinSet::new();
    for n in 0..CALLERS {
        let store = store.clone();
        calls.spawn(async move {
            store.put_device(APP, &user(&format!("u{n}")), &device("d"), &android(&format!("t{n}"))).await
        });
    }
    all_are_submitted().await;
    held.execute_batch("COMMIT").unwrap();

    let answers: Vec<Result<_>> = calls.join_all().await;
    assert!(answers.iter().all(Result::is_ok));
    for n in 0..CALLERS {
        assert_eq!(store.devices(APP, &user(&format!("u{n}"))).await.unwrap().len(), 1, "u{n}");
    }
    let commits = commits_in_log(&world.path()) - before;
    // More than one or two only where the machine is slow: a commit is bounded in time.
    assert!((1..=CALLERS / 10).contains(&commits), "{commits} commits for {CALLERS} calls");
}

#[tokio::test]
async fn a_job_that_fails_is_undone_alone() {
    let world = World::new();
    let store = world.open().store();
    let too_many: Vec<_> = (0..=DEVICES_PER_USER_MAX)
        .map(|n| (user("many"), device(&format!("d{n}")), android(&format!("many-{n}"))))
        .collect();
    let before = commits_in_log(&world.path());

    let held = world.raw();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, second, third) = (store.clone(), store.clone(), store.clone());
    let good =
        tokio::spawn(async move { first.put_device(APP, &user("a"), &device("d"), &android("a")).await });
    let bad = tokio::spawn(async move { second.put_devices(APP, &too_many).await });
    let after =
        tokio::spawn(async move { third.put_device(APP, &user("b"), &device("d"), &android("b")).await });
    all_are_submitted().await;
    held.execute_batch("COMMIT").unwrap();

    assert!(good.await.unwrap().is_ok());
    assert_eq!(bad.await.unwrap().unwrap_err().kind(), ErrorKind::LimitReached);
    assert!(after.await.unwrap().is_ok());
    assert_eq!(store.devices(APP, &user("many")).await.unwrap(), []);
    for owner in ["a", "b"] {
        assert_eq!(store.devices(APP, &user(owner)).await.unwrap().len(), 1);
    }
    assert!(commits_in_log(&world.path()) - before <= 2);
}

/// Dead letters are found beside the writer: a step that finds none is answered though nothing can be written.
#[tokio::test]
async fn what_finds_nothing_to_redrive_does_not_wait_for_the_writer() {
    let world = World::new();
    let sqlite = world.open();
    let held = world.raw();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let redriven = sqlite.ledger().redrive(APP, DeadFilter::all(), None, 10).await.unwrap();
    assert_eq!(redriven, Redriven::default());
    let reopened = sqlite.store().reopen(APP, &DeadFilter::all(), None, 10).await.unwrap();
    assert_eq!(reopened, Reopened::default());
}

#[tokio::test]
async fn what_was_answered_outlives_the_process() {
    let world = World::new();
    let pause = Pause {
        route: "bulk/fcm/main/ios".parse().unwrap(),
        reason: "the credential was refused".into(),
        since: Timestamp::from_ms(5),
    };
    let key = key(3, "ours");
    let store = world.open().store();
    store.put_pause(&pause).await.unwrap();
    store.put_key(&key).await.unwrap();
    drop(store);

    let store = world.open().store();
    assert_eq!(store.pauses().await.unwrap(), [pause]);
    assert_eq!((store.key(&key.hash).await.unwrap(), store.keys().await.unwrap()), (Some(key), 1));
}
