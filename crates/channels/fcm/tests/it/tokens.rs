//! Access tokens: asked for once, refreshed in time, and a clock that is off is corrected.

use std::sync::Arc;

use fcm_emulator::{Emulator, Faults, Options};
use pabal_core::chance::SeededChance;
use pabal_core::clock::{Clock, SystemClock, Timestamp};
use pabal_core::outcome::{CredentialScope, Outcome};
use pabal_core::seam::channel::Channel;
use pabal_fcm::{FcmChannel, FcmConfig, ProjectConfig, ServiceAccount};

use crate::support::{World, channel, config, outbound, project, within};

const CREDENTIAL: Outcome = Outcome::CredentialInvalid { scope: CredentialScope::Credential };

#[tokio::test]
async fn many_that_need_a_token_ask_for_it_once() {
    let world = World::start(Faults::default()).await;
    let reports = world.send_many(200).await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Delivered));
    assert_eq!(world.emulator.oauth_requests(), 1);
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_within_the_attempt() {
    for html_401 in [false, true] {
        let world = World::start(Faults { html_401, ..Faults::default() }).await;
        assert_eq!(world.send("a").await.outcome, Outcome::Delivered);
        world.emulator.expire_tokens();
        let reports = world.send_many(200).await;
        assert!(reports.iter().all(|report| report.outcome == Outcome::Delivered));
        assert_eq!(world.emulator.oauth_requests(), 2);
        assert_eq!(world.emulator.count().accepted, 201);
    }
}

#[tokio::test]
async fn a_token_near_its_end_is_used_while_the_next_is_asked_for() {
    let options = Options { token_lifetime_s: 1, ..Options::default() };
    let emulator = within(Emulator::start(options)).await.unwrap();
    let channel = channel(&config(&emulator));
    let mut sent = 0;
    within(async {
        while emulator.oauth_requests() < 3 {
            let report = channel.send(&outbound("a")).await;
            assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
            sent += 1;
        }
    })
    .await;
    assert!(sent > 3, "a token is for more than one message");
    assert_eq!(emulator.count().accepted, sent);
}

/// The machine's clock, put wrong.
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_ms(self.0)
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_answers_date() {
    for off_ms in [-2 * 3_600_000, 3_600_000] {
        let emulator = within(Emulator::start(Options::default())).await.unwrap();
        let chance = Arc::new(SeededChance::from_seed(7));
        let channel = FcmChannel::new(&config(&emulator), Arc::new(Off(off_ms)), chance).unwrap();
        let report = within(channel.send(&outbound("a"))).await;
        assert_eq!(report.outcome, Outcome::Delivered, "{off_ms}: {report:?}");
        assert_eq!(emulator.oauth_requests(), 2);
        // The next assertion is right at once.
        emulator.expire_tokens();
        assert_eq!(within(channel.send(&outbound("b"))).await.outcome, Outcome::Delivered);
        assert_eq!(emulator.oauth_requests(), 3);
    }
}

#[tokio::test]
async fn a_provider_whose_clock_moves_is_followed() {
    let world = World::start(Faults::default()).await;
    world.emulator.set_clock_offset(7_200);
    assert_eq!(world.send("a").await.outcome, Outcome::Delivered);
    assert_eq!(world.emulator.oauth_requests(), 2);
}

#[tokio::test]
async fn an_account_that_is_refused_is_a_matter_of_credentials() {
    let (one, other) = tokio::join!(Emulator::start(Options::default()), Emulator::start(Options::default()));
    let (one, other) = (one.unwrap(), other.unwrap());
    // The key of one emulator's account, shown to the other.
    let file = one.service_account_with("demo", &format!("{}/token", other.base_url()));
    let account = ServiceAccount::parse(&file.to_string()).unwrap();
    let project_config = ProjectConfig::new(account).with_endpoint(other.base_url().parse().unwrap());
    let channel = channel(&FcmConfig::default().with_project(project(), project_config));
    let report = within(channel.send(&outbound("a"))).await;
    assert_eq!((report.outcome, report.code.as_deref()), (CREDENTIAL, Some("invalid_grant")));
    assert_eq!(report.detail.as_deref(), Some("no access token: Invalid JWT Signature."));
    assert_eq!(other.count().accepted, 0);
}

#[tokio::test]
async fn a_token_server_that_cannot_be_reached_sends_nothing() {
    let emulator = within(Emulator::start(Options::default())).await.unwrap();
    let gone = within(Emulator::start(Options::default())).await.unwrap();
    let token_uri = format!("{}/token", gone.base_url());
    let file = emulator.service_account_with("demo", &token_uri);
    within(gone.stop()).await;
    let account = ServiceAccount::parse(&file.to_string()).unwrap();
    let project_config = ProjectConfig::new(account).with_endpoint(emulator.base_url().parse().unwrap());
    let channel = channel(&FcmConfig::default().with_project(project(), project_config));
    let report = within(channel.send(&outbound("a"))).await;
    assert_eq!(report.outcome, Outcome::NotSent);
    assert!(report.detail.unwrap().starts_with(&format!("no token from {token_uri}")));
    assert_eq!(emulator.connections(), 0);
}
