//! A faithful Firebase Cloud Messaging for laptops and CI.
//!
//! Firebase's emulator suite has none for FCM, so senders are tested against mocks that say yes to everything. This
//! one says no as Google does: it verifies the service account's signature, checks every send against the discovery
//! document (revision 20261023), answers with Google's own error envelopes, and goes wrong on request, so that what
//! a sender does about it can be seen. What it accepted can be counted, listed and awaited.
//!
//! It refuses to be reached from elsewhere (loopback only, it has no access control), to deliver anything, and to
//! remember more than the bounds of [`limits`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fcm_emulator::{Emulator, Faults, Options, Rates};
//! use std::time::Duration;
//!
//! let emulator = Emulator::start(Options::default()).await?;
//! let service_account = emulator.service_account("demo"); // give it to the client
//! let endpoint = emulator.base_url(); // and this, in place of https://fcm.googleapis.com
//! emulator.set_faults(Faults {
//!     rates: Rates { unavailable: 0.1, ..Rates::default() },
//!     ..Faults::default()
//! })?;
//! // … the client sends …
//! let counts = emulator.wait_for(1_000, Duration::from_secs(30)).await?;
//! assert_eq!(counts.accepted, counts.unique);
//! emulator.stop().await;
//! # Ok(()) }
//! ```
//!
//! Where it knowingly differs: texts that aren't known from production say so where they are made; delivery and device
//! groups aren't modelled; limits per device are off until asked for; tokens of any URL-safe shape are good.

#![warn(missing_docs)]

pub mod cli;
pub mod limits;

mod clock;
mod emulator;
mod envelope;
mod faults;
mod hash;
mod identity;
mod inbox;
mod json;
mod message;
mod oauth;
mod page;
mod schema;
mod server;
mod state;
mod topics;

pub use emulator::{Emulator, Options, StartError, WaitError};
pub use faults::{
    Collapsible, Fanouts, FaultKind, Faults, FaultsError, Limits, Quota, Range, Rates, TokenRule,
};
pub use identity::IdentityError;
pub use inbox::{Counts, Dropped, ReceivedId, ReceivedMessage};
pub use message::TargetKind;
pub use schema::{DISCOVERY_DOCUMENT, SchemaError};
pub use topics::{Reached, TopicSubscription};
