//! An emulator, a channel that sends to it, and messages.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fcm_emulator::{Emulator, FaultKind, Faults, Options, Rates, TokenRule};
use pabal_core::chance::SeededChance;
use pabal_core::clock::{SystemClock, Timestamp};
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, NotificationId};
use pabal_core::message::Message;
use pabal_core::outcome::Report;
use pabal_core::route::{Credential, Platform};
use pabal_core::seam::channel::{Channel, Outbound};
use pabal_fcm::{FcmChannel, FcmConfig, ProjectConfig, ServiceAccount};

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing takes half a minute")
}

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) channel: Arc<FcmChannel>,
}

impl World {
    /// An emulator without TLS, and a channel whose project `demo` sends to it.
    pub(crate) async fn start(faults: Faults) -> Self {
        let emulator = within(Emulator::start(Options { faults, ..Options::default() })).await.unwrap();
        let channel = channel(&config(&emulator));
        Self { emulator, channel }
    }

    pub(crate) async fn with_rule(prefix: &str, answer: FaultKind) -> Self {
        Self::start(Faults { tokens: vec![rule(prefix, answer)], ..Faults::default() }).await
    }

    pub(crate) async fn with_rates(rates: Rates) -> Self {
        Self::start(Faults { rates, ..Faults::default() }).await
    }

    pub(crate) async fn send(&self, token: &str) -> Report {
        within(self.channel.send(&outbound(token))).await
    }

    /// Sends to so many tokens at once.
    pub(crate) async fn send_many(&self, count: usize) -> Vec<Report> {
        self.send_all((0..count).map(|number| outbound(&format!("token-{number}"))).collect()).await
    }

    pub(crate) async fn send_all(&self, outbounds: Vec<Outbound>) -> Vec<Report> {
        let sending: Vec<_> = outbounds
            .into_iter()
            .map(|outbound| {
                let channel = Arc::clone(&self.channel);
                tokio::spawn(async move { channel.send(&outbound).await })
            })
            .collect();
        let mut reports = Vec::new();
        for sent in sending {
            reports.push(within(sent).await.unwrap());
        }
        reports
    }
}

pub(crate) fn rule(prefix: &str, answer: FaultKind) -> TokenRule {
    TokenRule { prefix: prefix.to_owned(), answer, first: None, status: None }
}

pub(crate) fn project() -> Credential {
    Credential::new("demo").unwrap()
}

/// The account of project `demo`, with the emulator's own token URL.
pub(crate) fn account(emulator: &Emulator) -> ServiceAccount {
    ServiceAccount::parse(&emulator.service_account("demo").to_string()).unwrap()
}

pub(crate) fn config(emulator: &Emulator) -> FcmConfig {
    let endpoint = emulator.base_url().parse().unwrap();
    FcmConfig::default()
        .with_project(project(), ProjectConfig::new(account(emulator)).with_endpoint(endpoint))
}

pub(crate) fn channel(config: &FcmConfig) -> Arc<FcmChannel> {
    let chance = Arc::new(SeededChance::from_seed(7));
    Arc::new(FcmChannel::new(config, Arc::new(SystemClock), chance).unwrap())
}

/// A message to a token, of a notification of its own.
pub(crate) fn outbound(token: &str) -> Outbound {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let notification = NotificationId::new(Timestamp::from_ms(1_700_000_000_000), random);
    Outbound {
        delivery: DeliveryId::derive(notification, token),
        notification,
        credential: project(),
        platform: Platform::Other,
        target: Target::Token(token.to_owned()),
        message: Arc::new(Message {
            title: Some("Prove your day".into()),
            body: Some("오늘도 달려요".into()),
            link: Some("https://example.com/day".into()),
            image: Some("https://example.com/day.png".into()),
            ..Message::default()
        }),
        remaining_ms: 3_600_000,
    }
}
