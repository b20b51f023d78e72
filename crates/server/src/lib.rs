//! The HTTP API, the configuration, and the wiring of the parts into a server.
//!
//! ```text
//!   Config ──► wiring (backends, channels) ──► Engine ──► api ──► serve
//! ```
//!
//! [`Server::start`] runs a server inside any Tokio program; the command line and the tests do just that.

pub mod config;
pub mod keys;
pub mod limits;
pub mod shape;

mod api;
mod auth;
mod preflight;
mod reach;
mod serve;
mod server;
mod wiring;

pub use config::{Config, ConfigError};
pub use server::{Running, Server, StartError};
pub use wiring::{ProjectReport, inspect, shown, taken};
