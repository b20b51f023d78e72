//! The server as its callers meet it: a real one on a port of its own, over SQLite in a folder of its own, sending to
//! a real FCM emulator.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod accept;
mod cancel;
mod devices;
mod keys;
mod load;
mod paused;
mod refusals;
mod secrecy;
mod start;
mod store_trouble;
mod timeline;
mod world;
