//! The signals that ask a server to stop. The first asks; the next ends the process at once.

use std::io::Result;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, and SIGTERM where there is one. From the moment it is made they no longer end the process by themselves.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
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

    /// The code of a process that the next signal ends, as shells have it: 128 and the signal's number.
    async fn next(&mut self) -> Result<i32> {
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
