//! The binary as scripts meet it: what it prints, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod client;
mod configuration;
mod program;
mod serve;
