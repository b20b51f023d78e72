//! Upkeep: redrive jobs and forgetting. Each case cites the sentence of docs/specs/upkeep.md that it proves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, RedriveId};
use pabal_core::outcome::Outcome;
use pabal_core::seam::store::{
    NewRedrive, NotificationFilter, Prune, Pruned, RedriveJob, RedriveState, StoreSize,
};
use pabal_core::seam::{DeadFilter, DeadLetters, History, Retention};
use pabal_engine::{Engine, RetentionPolicy};
use pabal_memory::MemoryStore;
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_token};
use tokio::time::Instant;

use crate::knobs::Knobs;
use crate::stage::{Line, Scripted, Stage, accept};

const APP: AppId = AppId::DEFAULT;

fn job_id(n: u8) -> RedriveId {
    RedriveId::from_bytes([n; 16])
}

/// Refuses what is sent for the first `times` times, then takes it.
fn refuses(times_refused: usize) -> Arc<Scripted> {
    Scripted::new(move |_, times| {
        Line::Answer(if times < times_refused { Outcome::Rejected } else { Outcome::Delivered })
    })
}

/// Accepts `count` notifications, from the number `from` on, and waits until each is dead.
async fn dead(stage: &Stage, engine: &Engine, from: u64, count: u64) {
    for n in from..from + count {
        accept(engine, n, to_token(&format!("t{n}"))).await;
    }
    for n in from..from + count {
        assert_eq!(stage.ended(n).await[0].state, DeliveryState::Dead);
    }
}

async fn put_job(stage: &Stage, engine: &Engine, n: u8, filter: DeadFilter, rate_per_s: u32) -> RedriveJob {
    let new = NewRedrive { id: job_id(n), app: APP, filter, rate_per_s };
    let job = stage.store.put_redrive(&new).await.unwrap();
    engine.redrives_changed();
    job
}

async fn job(stage: &Stage, n: u8) -> RedriveJob {
    DeadLetters::redrive(&*stage.store, APP, job_id(n)).await.unwrap().unwrap()
}

async fn finished(stage: &Stage, n: u8) -> RedriveJob {
    eventually("the job to end", || async {
        let job = job(stage, n).await;
        (job.state != RedriveState::Running).then_some(job)
    })
    .await
}

// upkeep.md U1
#[tokio::test(start_paused = true)]
async fn a_job_holds_its_rate() {
    let stage = Stage::new().await;
    let channel = refuses(1);
    let engine = stage.engine(&channel).await;
    dead(&stage, &engine, 1, 100).await;
    let began = Instant::now();
    put_job(&stage, &engine, 1, DeadFilter::all(), 10).await;
    let done = finished(&stage, 1).await;
    assert_eq!((done.state, done.total, done.reopened), (RedriveState::Done, Some(100), 100));
    let took = began.elapsed();
    assert!((9..=12).contains(&took.as_secs()), "100 at 10 a second took {took:?}");
    let mut sends = Vec::new();
    for n in 1..=100 {
        let delivery = &stage.ended(n).await[0];
        assert_eq!(delivery.state, DeliveryState::Delivered);
        sends.push(channel.sends(delivery.id)[1]);
    }
    sends.sort();
    for start in &sends {
        let within =
            sends.iter().filter(|at| **at >= *start && **at < *start + Duration::from_secs(1)).count();
        assert!(within <= 11, "{within} within one second");
    }
}

// upkeep.md U2
#[tokio::test(start_paused = true)]
async fn a_job_goes_on_after_a_restart() {
    let stage = Stage::new().await;
    let channel = refuses(1);
    let engine = stage.engine(&channel).await;
    dead(&stage, &engine, 1, 50).await;
    put_job(&stage, &engine, 1, DeadFilter::all(), 10).await;
    eventually("some to be redriven", || async { (job(&stage, 1).await.reopened >= 10).then_some(()) }).await;
    // As in a crash.
    drop(engine);
    let before = job(&stage, 1).await;
    assert_eq!(before.state, RedriveState::Running);
    assert!(before.reopened < 50);
    let engine = stage.engine(&channel).await;
    assert_eq!(finished(&stage, 1).await.state, RedriveState::Done);
    for n in 1..=50 {
        let delivery = &stage.ended(n).await[0];
        assert_eq!((delivery.state, channel.sends(delivery.id).len()), (DeliveryState::Delivered, 2));
    }
    drop(engine);
}

// upkeep.md U3
#[tokio::test(start_paused = true)]
async fn a_stopped_job_reopens_nothing_more() {
    let stage = Stage::new().await;
    let channel = refuses(1);
    let engine = stage.engine(&channel).await;
    dead(&stage, &engine, 1, 50).await;
    put_job(&stage, &engine, 1, DeadFilter::all(), 10).await;
    eventually("some to be redriven", || async { (job(&stage, 1).await.reopened >= 10).then_some(()) }).await;
    let stopped = stage.store.stop_redrive(APP, job_id(1)).await.unwrap().unwrap();
    assert_eq!(stopped.state, RedriveState::Stopped);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reopened = job(&stage, 1).await.reopened;
    let mut delivered = 0;
    for n in 1..=50 {
        delivered += u64::from(stage.ended(n).await[0].state == DeliveryState::Delivered);
    }
    // A step that was under way counts what it did.
    assert_eq!(delivered, reopened);
    assert!(reopened < 20, "{reopened}");
    drop(engine);
}

// upkeep.md U4
#[tokio::test(start_paused = true)]
async fn a_job_ends_though_everything_dies_again() {
    let stage = Stage::new().await;
    let channel = refuses(usize::MAX);
    let engine = stage.engine(&channel).await;
    dead(&stage, &engine, 1, 20).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    put_job(&stage, &engine, 1, DeadFilter::all(), 10).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    dead(&stage, &engine, 100, 5).await;
    assert_eq!(finished(&stage, 1).await.reopened, 20);
    for n in (1..=20).chain(100..105) {
        let delivery = &stage.ended(n).await[0];
        assert_eq!(channel.sends(delivery.id).len(), if n <= 20 { 2 } else { 1 }, "number {n}");
    }
    drop(engine);
}

// upkeep.md U1, U5
#[tokio::test(start_paused = true)]
async fn a_job_outlives_a_store_that_is_away() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let channel = refuses(1);
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    dead(&stage, &engine, 1, 20).await;
    knobs.all_full.store(true, Ordering::SeqCst);
    put_job(&stage, &engine, 1, DeadFilter::all(), 5).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((job(&stage, 1).await.state, job(&stage, 1).await.reopened), (RedriveState::Running, 0));
    knobs.all_full.store(false, Ordering::SeqCst);
    let began = Instant::now();
    assert_eq!(finished(&stage, 1).await.reopened, 20);
    assert!(began.elapsed() >= Duration::from_secs(3), "no burst makes up for it: {:?}", began.elapsed());
    drop(engine);
}

// upkeep.md U6
#[tokio::test(start_paused = true)]
async fn a_job_that_fails_holds_up_no_other() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let channel = refuses(1);
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    dead(&stage, &engine, 1, 40).await;
    *knobs.redrive_fails_for.lock().unwrap() = Some(notification_id(1));
    put_job(&stage, &engine, 1, DeadFilter::of_notification(notification_id(1)), 100).await;
    put_job(&stage, &engine, 2, DeadFilter::all(), 100).await;
    let began = Instant::now();
    assert_eq!(finished(&stage, 2).await.state, RedriveState::Done);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(job(&stage, 1).await.state, RedriveState::Running, "it goes on trying");
    drop(engine);
}

// upkeep.md U6
#[tokio::test(start_paused = true)]
async fn a_slow_job_holds_up_no_other() {
    let stage = Stage::new().await;
    let channel = refuses(1);
    let engine = stage.engine(&channel).await;
    dead(&stage, &engine, 1, 40).await;
    put_job(&stage, &engine, 1, DeadFilter::of_notification(notification_id(1)), 1).await;
    put_job(&stage, &engine, 2, DeadFilter::all(), 1).await;
    let began = Instant::now();
    put_job(&stage, &engine, 3, DeadFilter::all(), 1000).await;
    finished(&stage, 3).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(engine);
}

async fn notifications(store: &MemoryStore) -> u64 {
    let filter = NotificationFilter::default();
    store.list_notifications(APP, &filter, None, 1000).await.unwrap().items.len() as u64
}

// upkeep.md U7
#[tokio::test(start_paused = true)]
async fn what_ended_long_ago_is_forgotten() {
    const HOUR: Duration = Duration::from_secs(3600);
    let stage = Stage::new().await;
    let channel = Scripted::new(|outbound, _| match outbound.target.address() {
        "dies" => Line::Answer(Outcome::Rejected),
        "waits" => Line::Answer(Outcome::Unavailable { retry_after_ms: Some(HOUR.as_millis() as u64 * 9) }),
        _ => Line::Answer(Outcome::Delivered),
    });
    let keep = RetentionPolicy {
        ended_ms: HOUR.as_millis() as u64,
        dead_ms: 3 * HOUR.as_millis() as u64,
        size_bytes_max: None,
    };
    let engine = stage.engine_with(&channel, stage.one(), |config| config.retention = keep).await;
    for (n, target) in [(1, "arrives"), (2, "dies"), (3, "waits")] {
        accept(&engine, n, to_token(target)).await;
    }
    stage.ended(2).await;
    tokio::time::sleep(HOUR - Duration::from_secs(120)).await;
    assert_eq!(notifications(&stage.store).await, 3, "not yet");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(notifications(&stage.store).await, 2);
    assert!(stage.deliveries(1).await.is_empty());
    tokio::time::sleep(HOUR * 2).await;
    assert!(stage.deliveries(2).await.is_empty(), "dead letters have their own time");
    assert_eq!(stage.deliveries(3).await[0].state, DeliveryState::Retrying, "what is open stays");
    drop(engine);
}

/// A store of which each notification has the size of one byte.
struct Weighed(Arc<MemoryStore>);

#[async_trait]
impl Retention for Weighed {
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.0.prune(&Prune { rows_max: 1, ..*prune }).await
    }

    async fn size(&self) -> Result<StoreSize> {
        Ok(StoreSize { used_bytes: notifications(&self.0).await, disk_free_bytes: None })
    }
}

// upkeep.md U8
#[tokio::test(start_paused = true)]
async fn a_store_over_its_size_forgets_early() {
    let stage = Stage::new().await;
    let channel = Scripted::new(|outbound, _| match outbound.target.address() {
        "dies" => Line::Answer(Outcome::Rejected),
        "waits" => Line::Answer(Outcome::Unavailable { retry_after_ms: Some(3_600_000) }),
        _ => Line::Answer(Outcome::Delivered),
    });
    let weighed: Arc<dyn Retention> = Arc::new(Weighed(stage.store.clone()));
    let keep = RetentionPolicy { size_bytes_max: Some(6), ..RetentionPolicy::default() };
    let engine = stage
        .engine_keeping(&channel, weighed, |config| {
            config.retention = keep;
            config.prune_every_ms = 1000;
        })
        .await;
    for (n, target) in [(1, "waits"), (2, "dies"), (3, "a"), (4, "b"), (5, "c"), (6, "d"), (7, "e"), (8, "f")]
    {
        accept(&engine, n, to_token(target)).await;
    }
    stage.ended(8).await;
    eventually("the store to be small enough", || async {
        (notifications(&stage.store).await <= 6).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let kept: Vec<u64> = {
        let mut kept = Vec::new();
        for n in 1..=8 {
            if !stage.deliveries(n).await.is_empty() {
                kept.push(n);
            }
        }
        kept
    };
    assert_eq!(kept, [1, 2, 5, 6, 7, 8], "the oldest that ended went, and no more than that");
    for n in 9..=14 {
        accept(&engine, n, to_token("waits")).await;
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(stage.deliveries(2).await.is_empty(), "dead letters last");
    assert_eq!(stage.deliveries(1).await.len(), 1, "what is open stays, however big");
    drop(engine);
}
