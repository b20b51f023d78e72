//! The words of Pabal and the rules about them: nouns with checked constructors, the delivery state machine,
//! pure policy (verdict, backoff), named limits, and the traits of the seams that everything else plugs into.
//!
//! What is deliberately absent: I/O, an async runtime, SQL, HTTP, and the name of any backend or channel
//! product. Time and chance are parameters here, never read from the machine.
//!
//! Reading order: [`ids`], [`notification`], [`device`], [`delivery`] (the nouns) · [`outcome`], [`verdict`],
//! [`backoff`] (the policy) · [`seam`] (the traits) · [`steps`] (how a ledger is made of a queue and a store).

#![warn(missing_docs)]

pub mod backoff;
pub mod chance;
pub mod clock;
pub mod delivery;
pub mod device;
pub mod error;
pub mod ids;
pub mod limits;
pub mod message;
pub mod notification;
pub mod outcome;
pub mod route;
pub mod seam;
pub mod steps;
pub mod verdict;

pub use error::{Error, ErrorKind, Result};
