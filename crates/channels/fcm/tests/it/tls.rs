//! TLS: Google's own names and files work with nothing but a path, and nobody else can stand in for Google.

use fcm_emulator::{Emulator, Options};
use pabal_core::outcome::Outcome;
use pabal_core::seam::channel::Channel;
use pabal_fcm::{FcmConfig, ProjectConfig, ServiceAccount};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::support::{channel, config, outbound, project, within};

const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

pub(crate) async fn emulator() -> Emulator {
    within(Emulator::start(Options { tls: true, ..Options::default() })).await.unwrap()
}

pub(crate) fn ca(emulator: &Emulator) -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(emulator.ca_pem().unwrap().as_bytes()).unwrap()]
}

/// What a user writes for Google: a service account's file, and nothing else.
pub(crate) fn as_for_google(emulator: &Emulator) -> FcmConfig {
    let file = emulator.service_account_with("demo", GOOGLE_TOKEN_URI);
    let account = ServiceAccount::parse(&file.to_string()).unwrap();
    FcmConfig::default().with_project(project(), ProjectConfig::new(account))
}

/// Lets Google's names lead to the emulator.
pub(crate) fn redirected(mut config: FcmConfig, emulator: &Emulator) -> FcmConfig {
    for name in ["fcm.googleapis.com", "oauth2.googleapis.com"] {
        config.resolve.insert(name.to_owned(), emulator.address());
    }
    config
}

#[tokio::test]
async fn googles_own_file_needs_nothing_beside_it() {
    let emulator = emulator().await;
    let config = as_for_google(&emulator);
    let [demo] = config.describe().try_into().unwrap();
    assert_eq!(demo.sends_to, "https://fcm.googleapis.com/v1/projects/demo/messages:send");
    assert_eq!(demo.tokens_from, GOOGLE_TOKEN_URI);
    assert_eq!(
        demo.to_string(),
        format!(
            "demo: sends to {} as {}, with tokens from {}",
            demo.sends_to, demo.client_email, demo.tokens_from
        )
    );
    let config = FcmConfig { extra_ca: ca(&emulator), ..redirected(config, &emulator) };
    let report = within(channel(&config).send(&outbound("a"))).await;
    assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
    assert_eq!(emulator.oauth_requests(), 1);
}

#[tokio::test]
async fn public_roots_alone_refuse_the_emulator() {
    let emulator = emulator().await;
    let config = redirected(as_for_google(&emulator), &emulator);
    let report = within(channel(&config).send(&outbound("a"))).await;
    assert_eq!(report.outcome, Outcome::NotSent);
    let detail = report.detail.unwrap();
    assert!(
        detail.contains("oauth2.googleapis.com") && detail.contains("invalid peer certificate"),
        "{detail}"
    );
    assert_eq!((emulator.oauth_requests(), emulator.count().accepted), (0, 0));
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_hold_is_refused() {
    let emulator = emulator().await;
    let mut config = FcmConfig { extra_ca: ca(&emulator), ..config(&emulator) };
    let other = format!("https://fcm.example.com:{}", emulator.address().port());
    config.projects.get_mut(&project()).unwrap().endpoint = Some(other.parse().unwrap());
    config.resolve.insert("fcm.example.com".to_owned(), emulator.address());
    let report = within(channel(&config).send(&outbound("a"))).await;
    assert_eq!(report.outcome, Outcome::NotSent);
    let detail = report.detail.unwrap();
    assert!(detail.contains("fcm.example.com") && detail.contains("invalid peer certificate"), "{detail}");
    assert_eq!(emulator.count().accepted, 0);
}

#[tokio::test]
async fn many_messages_go_over_tls() {
    let emulator = emulator().await;
    let channel = channel(&FcmConfig { extra_ca: ca(&emulator), ..config(&emulator) });
    let sending: Vec<_> = (0..300)
        .map(|number| {
            let channel = std::sync::Arc::clone(&channel);
            tokio::spawn(async move { channel.send(&outbound(&format!("t{number}"))).await })
        })
        .collect();
    for sent in sending {
        assert_eq!(within(sent).await.unwrap().outcome, Outcome::Delivered);
    }
    assert_eq!(within(emulator.wait_for(300, crate::support::DEADLINE)).await.unwrap().unique, 300);
}
