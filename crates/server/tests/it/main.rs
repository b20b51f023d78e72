//! The server as its callers meet it: a real one on a port of its own, over SQLite in a folder of its own, sending to
//! a real FCM emulator.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod accept;
mod batch;
mod caller;
mod cancel;
mod connections;
mod dead_letters;
mod devices;
mod erase;
mod frames;
mod isolation;
mod keys;
mod lists;
mod load;
mod marks;
mod metrics;
mod openapi;
mod paused;
mod redrive;
mod refusals;
mod secrecy;
mod start;
mod stats;
mod store_trouble;
mod timeline;
mod tls;
mod world;
