//! The emulator through real sockets, as a client sees it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod cli;
mod client;
mod control;
mod envelopes;
mod faults;
mod limits;
mod oauth;
mod page;
mod throughput;
mod topics;
mod transport;
