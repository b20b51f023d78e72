//! The HTTP API, the configuration, and the wiring of the parts into a server.
//!
//! ```text
//!   Config ──► wiring (backends, channels) ──► Engine ──► api ──► listener
//! ```
//!
//! [`Server::start`] runs a server inside any Tokio program; the command line and the tests do just that.

pub mod config;
#[doc(hidden)]
pub mod fuzzing;
pub mod keys;
pub mod limits;
pub mod shape;

mod api;
mod auth;
mod docs;
mod listener;
mod metrics;
mod preflight;
mod reach;
mod server;
mod wiring;

pub use api::{openapi, paths};
pub use config::{Config, ConfigError};
pub use server::{Running, Server, StartError};
pub use wiring::upkeep::{BackedUp, Migrated, back_up, migrate};
pub use wiring::{CertificateReport, ProjectReport, certificate, inspect, shown, taken};
