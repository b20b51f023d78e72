//! The binary as scripts meet it: what it prints, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod access;
mod answers;
mod backup;
mod client;
mod configuration;
mod dead_letters;
mod deploy;
mod file;
mod front;
mod help;
mod lists;
mod load;
mod logs;
mod numbers;
mod operations;
mod people;
mod program;
mod quickstart;
mod serve;
mod tls;
mod waiting;
mod walk;
