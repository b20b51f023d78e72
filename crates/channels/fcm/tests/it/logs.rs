//! Nothing that a log holds may reach a person or send in their name.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use fcm_emulator::{FaultKind, Faults};
use pabal_core::outcome::Outcome;

use crate::support::{World, outbound, rule, within};

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

    let log = String::from_utf8_lossy(&log.lines.lock().unwrap()).into_owned();
    assert!(log.contains("connection opened") && log.contains("h2::"), "the log was caught");
    let title = outbound("x").message.title.clone().unwrap();
    for secret in ["APA91b", "Bearer", "bearer", "assertion=", "PRIVATE KEY", &title] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
