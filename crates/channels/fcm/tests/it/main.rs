//! The channel against the FCM emulator, which shares no code with it.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

mod connections;
mod logs;
mod outcomes;
mod proxy;
mod support;
mod tls;
mod tokens;
