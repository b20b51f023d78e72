//! The FCM channel: HTTP v1 over its own HTTP/2 pool.
//!
//! One attempt, in the order of the files:
//!
//! 1. `config` and `account`: what is sent for whom and where to, checked before anything is sent.
//! 2. `request`, `merge`, `template`: a notification becomes a body, encoded once for all its deliveries (pure).
//! 3. `oauth`, `token_request`, `wall`: an access token, asked for once however many need it.
//! 4. `dial`, `proxy`, `no_proxy`, `connection`, `pool`: the body goes out over one of several HTTP/2 connections.
//! 5. `classify`, `retry_after`, `detail`: the answer becomes a [`Report`](pabal_core::outcome::Report) (pure).
//!
//! What is deliberately absent: retrying (the policy's), pacing (the engine's), any write to a store, and any log line
//! per message. Tokens, keys and payloads are never logged.

#![warn(missing_docs)]

mod account;
mod channel;
mod classify;
mod config;
mod connection;
mod detail;
mod dial;
mod flight;
mod merge;
mod no_proxy;
mod oauth;
mod pool;
mod proxy;
mod request;
mod retry_after;
mod template;
mod token_request;
mod wall;

#[doc(hidden)]
pub mod fuzzing;

pub use account::ServiceAccount;
pub use channel::FcmChannel;
pub use config::{ConfigError, Endpoint, FcmConfig, ProjectConfig, ProjectDescription};
pub use no_proxy::NoProxy;
pub use proxy::ProxyConfig;
