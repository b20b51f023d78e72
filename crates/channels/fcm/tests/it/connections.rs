//! What happens to connections and streams: nothing is lost, and what became of each message is told truly.

use std::collections::BTreeSet;

use fcm_emulator::{Emulator, FaultKind, Faults, Options, Range, Rates, TokenRule};
use pabal_core::outcome::{Outcome, OutcomeKind};
use pabal_core::seam::channel::Channel;
use pabal_fcm::FcmConfig;

use crate::support::{World, channel, config, outbound, project, rule, within};

#[tokio::test]
async fn several_connections_share_the_load_within_their_limits() {
    // Answers take long enough for all requests to be under way at once; a connection that were given more than
    // its 100 streams would be refused some.
    let latency_ms = Some(Range { min: 200, max: 200 });
    let world = World::start(Faults { latency_ms, ..Faults::default() }).await;
    assert_eq!(world.channel.capacity(&project()), 400);
    let reports = world.send_many(350).await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Delivered));
    let connections = world.emulator.connections() - world.emulator.oauth_requests();
    assert_eq!(connections, 4);
    assert_eq!(world.emulator.count().unique, 350);
    assert_eq!(world.channel.capacity(&project()), 400);
}

#[tokio::test]
async fn more_than_all_streams_wait_their_turn() {
    let emulator = within(Emulator::start(Options::default())).await.unwrap();
    let limits = FcmConfig { connections_per_project: 2, streams_assumed: 3, ..config(&emulator) };
    let world = World { channel: channel(&limits), emulator };
    let reports = world.send_many(200).await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Delivered));
    assert!(world.emulator.connections() - world.emulator.oauth_requests() <= 2);
}

#[tokio::test]
async fn one_message_after_another_needs_one_connection() {
    let world = World::start(Faults::default()).await;
    for number in 0..20 {
        assert_eq!(world.send(&format!("token-{number}")).await.outcome, Outcome::Delivered);
    }
    assert_eq!(world.emulator.connections() - world.emulator.oauth_requests(), 1);
}

#[tokio::test]
async fn a_storm_of_goaways_loses_and_repeats_nothing() {
    let world = World::with_rates(Rates { goaway: 0.2, ..Rates::default() }).await;
    let mut left: BTreeSet<usize> = (0..400).collect();
    for _ in 0..50 {
        let sent: Vec<usize> = left.iter().copied().collect();
        let outbounds = sent.iter().map(|number| outbound(&format!("token-{number}"))).collect();
        for (number, report) in sent.iter().zip(world.send_all(outbounds).await) {
            match report.outcome.kind() {
                OutcomeKind::Delivered => assert!(left.remove(number)),
                OutcomeKind::NotSent => {}
                other => panic!("{other}: {report:?}"),
            }
        }
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "{} were never delivered", left.len());
    assert_eq!(world.emulator.count().accepted, 400);
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_within_the_attempt() {
    let twice = TokenRule { first: Some(2), ..rule("shy-", FaultKind::RefusedStream) };
    let world = World::start(Faults { tokens: vec![twice], ..Faults::default() }).await;
    assert_eq!(world.send("shy-1").await.outcome, Outcome::Delivered);
    assert_eq!(world.emulator.count().accepted, 1);
}

#[tokio::test]
async fn streams_that_are_always_refused_are_not_sent() {
    let world = World::with_rule("shy-", FaultKind::RefusedStream).await;
    let report = world.send("shy-1").await;
    assert_eq!(report.outcome, Outcome::NotSent);
    assert!(report.detail.unwrap().starts_with("refused 4 times"));
    assert_eq!(world.emulator.count().accepted, 0);
}

#[tokio::test]
async fn a_reset_leaves_the_fate_unknown_and_repeats_nothing() {
    let tokens = vec![rule("before-", FaultKind::ResetBefore), rule("after-", FaultKind::ResetAfter)];
    let world = World::start(Faults { tokens, ..Faults::default() }).await;
    assert_eq!(world.send("before-1").await.outcome, Outcome::Unknown);
    assert_eq!(world.emulator.count().accepted, 0);
    assert_eq!(world.send("after-1").await.outcome, Outcome::Unknown);
    assert_eq!(world.emulator.count().accepted, 1);
    assert_eq!(world.send("fine").await.outcome, Outcome::Delivered);
}

#[tokio::test]
async fn a_stopped_emulator_gets_nothing_and_the_reason_is_told() {
    let World { emulator, channel } = World::start(Faults::default()).await;
    let base_url = emulator.base_url();
    assert_eq!(within(channel.send(&outbound("a"))).await.outcome, Outcome::Delivered);
    within(emulator.stop()).await;
    // The first may still meet the connection's end; from then on there is none to be had.
    within(channel.send(&outbound("b"))).await;
    let report = within(channel.send(&outbound("c"))).await;
    assert_eq!(report.outcome, Outcome::NotSent, "{report:?}");
    let detail = report.detail.unwrap();
    assert!(detail.starts_with(&format!("no connection to {base_url}")), "{detail}");
}

#[tokio::test]
async fn an_emulator_that_comes_back_is_found_again() {
    let folder = std::env::temp_dir().join(format!("pabal-fcm-{}", std::process::id()));
    let options = Options { state_dir: Some(folder.clone()), ..Options::default() };
    let emulator = within(Emulator::start(options.clone())).await.unwrap();
    let (address, channel) = (emulator.address(), channel(&config(&emulator)));
    assert_eq!(within(channel.send(&outbound("a"))).await.outcome, Outcome::Delivered);
    within(emulator.stop()).await;
    let again = within(Emulator::start(Options { listen: address, ..options })).await.unwrap();
    within(channel.send(&outbound("b"))).await;
    // The new emulator does not know the old token: it is refused, and another fetched.
    assert_eq!(within(channel.send(&outbound("c"))).await.outcome, Outcome::Delivered);
    assert!(again.count().accepted >= 1);
    std::fs::remove_dir_all(folder).unwrap();
}
