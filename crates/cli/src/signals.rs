//! The signals that ask a server to stop: the first asks, the next ends the process at once. And the one that asks it
//! to look at its certificate.

use std::io::Result;

use tokio::sync::watch;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, and SIGTERM where there is one. From the moment it is made they no longer end the process by themselves.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

/// Whether one asked for the stop of work that goes on step by step.
pub(crate) struct Stop(watch::Receiver<Option<i32>>);

impl Stop {
    /// From now on the first signal asks, and the next ends the process at once.
    pub(crate) fn listen() -> Result<Self> {
        let mut signals = Signals::listen()?;
        let (asks, asked) = watch::channel(None);
        tokio::spawn(async move {
            if let Ok(code) = signals.next().await {
                asks.send_replace(Some(code));
                signals.end_at_the_next();
            }
            // Whoever waits goes on waiting for the work itself.
            asks.closed().await;
        });
        Ok(Self(asked))
    }

    /// The code to end with, if one has asked.
    pub(crate) fn is_asked(&self) -> Option<i32> {
        *self.0.borrow()
    }

    /// Ends when one asks.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }
}

/// The exit code of what a signal ended.
pub(crate) fn exit_code(code: i32) -> std::process::ExitCode {
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        #[cfg(unix)]
        return Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        });
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Ends when one asks for the stop.
    pub(crate) async fn stop_asked(&mut self) -> Result<()> {
        self.next().await.map(drop)
    }

    /// From now on the next one ends the process at once. Nothing is lost by that; some attempts may go out a second time.
    pub(crate) fn end_at_the_next(mut self) {
        tokio::spawn(async move {
            if let Ok(code) = self.next().await {
                eprintln!("pabal: asked again, ending at once; what was accepted is kept");
                std::process::exit(code);
            }
        });
    }

    /// Ends when one comes, with the code of a process that it ends, as shells have it: 128 and the signal's number.
    pub(crate) async fn next(&mut self) -> Result<i32> {
        #[cfg(unix)]
        {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => Ok(130),
                _ = self.terminate.recv() => Ok(143),
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await.map(|()| 130)
    }
}

/// SIGHUP, where there is one: it asks a server to read its certificate anew. Once it is listened for, it no longer ends
/// the process.
pub(crate) struct Hangups {
    #[cfg(unix)]
    signal: Option<Signal>,
}

impl Hangups {
    pub(crate) fn listen() -> Result<Self> {
        #[cfg(unix)]
        return Ok(Self { signal: Some(signal(SignalKind::hangup())?) });
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Of which none is listened for.
    pub(crate) fn none() -> Self {
        Self {
            #[cfg(unix)]
            signal: None,
        }
    }

    /// Ends when one comes.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
