//! Nothing that a log holds may reach a person or send in their name.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use fcm_emulator::{FaultKind, Faults};
use pabal_core::outcome::Outcome;
use pabal_core::seam::channel::Channel;

use crate::proxy::{Manner, Proxy, google_through};
use crate::support::{World, channel, outbound, rule, within};

/// What one thread logs.
#[derive(Clone)]
struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    of: ThreadId,
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if thread::current().id() == self.of {
            self.lines.lock().unwrap().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At the most talkative level, with the libraries below it. The runtime has one thread, so all of it is caught; the
/// subscriber is the process's, since call sites that other tests have used do not ask a thread's.
#[tokio::test]
async fn no_level_of_logging_shows_tokens_texts_or_keys() {
    let log = Log { lines: Arc::default(), of: thread::current().id() };
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter("pabal_fcm=trace,h2=trace,hyper=trace,rustls=trace")
        .with_writer(move || writer.clone())
        .init();
    let world = World::start(Faults {
        tokens: vec![rule("dead-", FaultKind::Unregistered), rule("odd-", FaultKind::ResetAfter)],
        ..Faults::default()
    })
    .await;
    assert_eq!(world.send("good-APA91bHPRgkFLJu6").await.outcome, Outcome::Delivered);
    assert_eq!(world.send("dead-APA91bHPRgkFLJu6").await.outcome, Outcome::Unregistered);
    world.emulator.expire_tokens();
    assert_eq!(world.send("odd-APA91bHPRgkFLJu6").await.outcome, Outcome::Unknown);
    assert_eq!(within(world.send("good-APA91bHPRgkFLJu6")).await.outcome, Outcome::Delivered);
    let google = crate::tls::emulator().await;
    for manner in [Manner::Leads(google.address()), Manner::Refuses("407 Whoever")] {
        let proxy = Proxy::start(manner).await;
        let through = channel(&google_through(&google, proxy.config("ann:proxy-secret@")));
        within(through.send(&outbound("good-APA91bHPRgkFLJu6"))).await;
    }

    let log = String::from_utf8_lossy(&log.lines.lock().unwrap()).into_owned();
    assert!(log.contains("connection opened") && log.contains("h2::"), "the log was caught");
    assert!(log.contains("through proxy http://…@127.0.0.1:"), "the proxy's too");
    let title = outbound("x").message.title.clone().unwrap();
    for secret in
        ["APA91b", "Bearer", "bearer", "assertion=", "PRIVATE KEY", "proxy-secret", "Basic ", &title]
    {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
