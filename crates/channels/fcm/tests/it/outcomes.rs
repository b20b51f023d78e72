//! Each outcome, end to end: what FCM answers becomes what the policy reads.

use std::sync::Arc;

use fcm_emulator::{FaultKind, Faults, Quota, Range, Rates, TokenRule};
use pabal_core::device::Target;
use pabal_core::message::Message;
use pabal_core::outcome::{CredentialScope, Outcome, Report, ThrottleScope};
use pabal_core::route::{Credential, Platform};
use pabal_core::seam::channel::{Channel, Outbound};
use pabal_fcm::{FcmConfig, ProjectConfig};
use serde_json::{Value, json};

use crate::support::{World, channel, outbound, project, rule, within};

const CREDENTIAL: Outcome = Outcome::CredentialInvalid { scope: CredentialScope::Credential };

#[tokio::test]
async fn a_message_is_delivered_as_composed() {
    let world = World::start(Faults::default()).await;
    let outbound = outbound("token-1");
    let report = within(world.channel.send(&outbound)).await;
    assert_eq!((report.outcome, report.status), (Outcome::Delivered, Some(200)));
    assert!(report.detail.unwrap().starts_with("projects/demo/messages/"));
    let received = world.emulator.messages(0, 10);
    let body: Value = serde_json::to_value(&received[0]).unwrap();
    let message = &body["message"];
    assert_eq!(message["notification"]["title"], "Prove your day", "{body}");
    assert_eq!(message["data"]["pabal_id"], outbound.notification.to_string());
    assert_eq!(message["android"]["ttl"], "3600s");
    assert_eq!(message["webpush"]["fcmOptions"]["link"], "https://example.com/day");
}

#[tokio::test]
async fn every_kind_of_target_and_platform_is_delivered() {
    let world = World::start(Faults::default()).await;
    let targets = [
        Target::Token("token-1".into()),
        Target::Fid("cfid0123456789abcdefgh".into()),
        Target::FcmTopic("news".into()),
        Target::FcmCondition("'a' in topics && !('b' in topics)".into()),
    ];
    for target in targets {
        for platform in [Platform::Android, Platform::Ios, Platform::Web, Platform::Other] {
            let outbound = Outbound { target: target.clone(), platform, ..outbound("x") };
            let report = within(world.channel.send(&outbound)).await;
            assert_eq!(report.outcome, Outcome::Delivered, "{platform} {report:?}");
        }
    }
    assert_eq!(world.emulator.count().accepted, 16);
}

#[tokio::test]
async fn native_overrides_and_data_messages_pass_the_schema() {
    let world = World::start(Faults::default()).await;
    let overrides = [
        json!({"android": {"priority": "high", "notification": {"channel_id": "c", "vibrate_timings": ["1.5s"]}}}),
        json!({"androidV2": {"remoteNotification": {"notification": {"id": 7}}}}),
        json!({"androidV2": {"backgroundSync": {}}}),
        json!({"apns": {"payload": {"aps": {"badge": 1}, "own_key": [1]}, "headers": {"apns-priority": "5"}}}),
        json!({"webpush": {"headers": {"ttl": "9", "Urgency": "high"}, "notification": {"requireInteraction": true}}}),
        json!({"fcm_options": {"analytics_label": "l"}}),
        json!({"android": {"ttl": null}}),
    ];
    for fcm in overrides {
        for title in [Some("t".to_owned()), None] {
            let fcm = serde_json::from_value(fcm.clone()).unwrap();
            let message = Message {
                title,
                data: [("k".to_owned(), "v".to_owned())].into(),
                collapse_key: Some("오늘".into()),
                fcm,
                ..Message::default()
            };
            message.check().unwrap();
            let mut outbound = outbound("token-1");
            outbound.message = Arc::new(message);
            outbound.remaining_ms = 0;
            let report = within(world.channel.send(&outbound)).await;
            assert_eq!(report.outcome, Outcome::Delivered, "{:?} {report:?}", outbound.message.fcm);
        }
    }
}

#[tokio::test]
async fn a_validation_delivers_nothing() {
    let world = World::start(Faults::default()).await;
    let mut outbound = outbound("token-1");
    outbound.message = Arc::new(Message { validate_only: true, ..(*outbound.message).clone() });
    assert_eq!(within(world.channel.send(&outbound)).await.outcome, Outcome::Delivered);
    assert_eq!(world.emulator.count().accepted, 0);
}

async fn answered(kind: FaultKind) -> Report {
    let world = World::with_rule("bad-", kind).await;
    let report = world.send("bad-token").await;
    assert_eq!(world.send("good-token").await.outcome, Outcome::Delivered);
    report
}

async fn check(kind: FaultKind, outcome: Outcome, status: u16, code: Option<&str>) {
    let report = answered(kind).await;
    assert_eq!(
        (report.outcome, report.status, report.code.as_deref()),
        (outcome, Some(status), code),
        "{kind:?}"
    );
}

#[tokio::test]
async fn what_is_said_about_a_device() {
    check(FaultKind::Unregistered, Outcome::Unregistered, 404, Some("UNREGISTERED")).await;
    check(FaultKind::SenderMismatch, Outcome::SenderMismatch, 403, Some("SENDER_ID_MISMATCH")).await;
    check(FaultKind::InvalidToken, Outcome::MalformedTarget, 400, Some("INVALID_ARGUMENT")).await;
}

#[tokio::test]
async fn what_is_said_about_the_provider() {
    let ill = Outcome::Unavailable { retry_after_ms: None };
    check(FaultKind::Unavailable, ill, 503, Some("UNAVAILABLE")).await;
    check(FaultKind::Internal, ill, 500, Some("INTERNAL")).await;
    let hinted = Outcome::Unavailable { retry_after_ms: Some(30_000) };
    check(FaultKind::Html502, hinted, 502, None).await;
    let too_much = Outcome::Throttled { retry_after_ms: None, scope: ThrottleScope::Project };
    check(FaultKind::Quota, too_much, 429, Some("QUOTA_EXCEEDED")).await;
}

#[tokio::test]
async fn what_is_said_about_a_credential() {
    let platform = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
    check(FaultKind::ThirdPartyAuth, platform, 401, Some("THIRD_PARTY_AUTH_ERROR")).await;
}

#[tokio::test]
async fn other_statuses_are_judged_by_themselves() {
    let ill = Outcome::Unavailable { retry_after_ms: None };
    let expected = [
        (408, ill),
        (504, ill),
        (599, ill),
        (401, CREDENTIAL),
        (403, CREDENTIAL),
        (404, Outcome::Rejected),
        (410, Outcome::Rejected),
        (413, Outcome::Rejected),
    ];
    for (status, outcome) in expected {
        let other = TokenRule { status: Some(status), ..rule("", FaultKind::Unavailable) };
        let world = World::start(Faults { tokens: vec![other], ..Faults::default() }).await;
        let report = world.send("token-1").await;
        assert_eq!((report.outcome, report.status), (outcome, Some(status)));
        // Only a 401 may mean that the token has expired; it is then replaced once, not for ever.
        assert_eq!(world.emulator.oauth_requests(), if status == 401 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_project_that_the_account_may_not_send_for_is_a_matter_of_credentials() {
    let world = World::start(Faults::default()).await;
    let mut file = world.emulator.service_account("demo");
    file["project_id"] = "other".into();
    let account = pabal_fcm::ServiceAccount::parse(&file.to_string()).unwrap();
    let endpoint = world.emulator.base_url().parse().unwrap();
    let project_config = ProjectConfig::new(account).with_endpoint(endpoint);
    let channel = channel(&FcmConfig::default().with_project(project(), project_config));
    let report = within(channel.send(&outbound("token"))).await;
    assert_eq!((report.outcome, report.status), (CREDENTIAL, Some(403)));
    assert!(report.detail.unwrap().contains("cloudmessaging.messages.create"));
}

#[tokio::test]
async fn a_project_that_is_not_configured_is_named() {
    let world = World::start(Faults::default()).await;
    let other = Credential::new("other").unwrap();
    assert_eq!(world.channel.capacity(&other), 1);
    let mut outbound = outbound("token");
    outbound.credential = other;
    let report = within(world.channel.send(&outbound)).await;
    assert_eq!(report.outcome, CREDENTIAL);
    assert_eq!(report.detail.as_deref(), Some("the configuration has no project 'other'"));
}

#[tokio::test]
async fn a_message_that_is_too_big_is_rejected() {
    let world = World::start(Faults::default()).await;
    let mut outbound = outbound("token");
    let message = Message { body: Some("x".repeat(4096)), ..(*outbound.message).clone() };
    outbound.message = Arc::new(Message { data: [("k".to_owned(), "x".repeat(4000))].into(), ..message });
    let report = within(world.channel.send(&outbound)).await;
    assert_eq!((report.outcome, report.status), (Outcome::Rejected, Some(400)), "{report:?}");
}

#[tokio::test]
async fn an_outage_that_calls_dead_tokens_malformed_retires_nothing() {
    let dead = vec![rule("dead-", FaultKind::Unregistered)];
    let world = World::start(Faults { tokens: dead, dead_tokens_as_400: true, ..Faults::default() }).await;
    assert_eq!(world.send("dead-1").await.outcome, Outcome::MalformedTarget);
}

#[tokio::test]
async fn without_details_nothing_final_is_believed() {
    let tokens = vec![
        rule("dead-", FaultKind::Unregistered),
        rule("other-", FaultKind::SenderMismatch),
        rule("bad-", FaultKind::InvalidToken),
    ];
    let world = World::start(Faults { tokens, missing_details: true, ..Faults::default() }).await;
    let dead = world.send("dead-1").await;
    assert_eq!((dead.outcome, dead.code.as_deref()), (Outcome::Rejected, Some("NOT_FOUND")));
    assert_eq!(world.send("other-1").await.outcome, CREDENTIAL);
    assert_eq!(world.send("bad-1").await.outcome, Outcome::Rejected);
}

#[tokio::test]
async fn a_quota_tells_how_long_to_wait() {
    let quota = Some(Quota { per_minute: 1, burst: 2 });
    let world = World::start(Faults { quota, ..Faults::default() }).await;
    assert_eq!(world.send("a").await.outcome, Outcome::Delivered);
    assert_eq!(world.send("b").await.outcome, Outcome::Delivered);
    match world.send("c").await.outcome {
        Outcome::Throttled { retry_after_ms: Some(ms), scope: ThrottleScope::Project } => {
            assert!((1_000..=60_000).contains(&ms), "{ms}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unavailable_provider_tells_how_long_to_wait() {
    let rates = Rates { unavailable: 1.0, ..Rates::default() };
    let retry_after_s = Some(Range { min: 7, max: 7 });
    let world = World::start(Faults { rates, retry_after_s, ..Faults::default() }).await;
    assert_eq!(world.send("a").await.outcome, Outcome::Unavailable { retry_after_ms: Some(7_000) });
}

#[tokio::test]
async fn details_never_hold_the_token() {
    let token = "dXk9_q:APA91bHPRgkFLJu6AmAmoXwEoDfOQ5gSz6I";
    for kind in [FaultKind::Unregistered, FaultKind::InvalidToken, FaultKind::Html502, FaultKind::ResetAfter]
    {
        let world = World::with_rule("", kind).await;
        let report = world.send(token).await;
        assert!(!format!("{report:?}").contains(&token[..12]), "{report:?}");
    }
}
