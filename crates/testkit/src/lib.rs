//! What the tests of every crate share: conformance suites for the seams, the property test against the reference
//! model, a clock that tests move, a simulated channel, faults as a layer, and builders.
//!
//! A backend proves itself with one line per suite in its integration binary, which makes each case an ordinary test:
//!
//! ```text
//! mod queue { pabal_testkit::queue_suite!(MyHarness::new()); }
//! mod ledger { pabal_testkit::ledger_suite!(MyHarness::new().await); }
//! ```
//!
//! What a backend can't do is declared by its harness and *asserted*, never skipped. Each case cites the sentence of
//! `docs/specs/` that it proves; a test holds both against each other.

pub mod clock;
pub mod faults;
pub mod fixtures;
pub mod ledger;
pub mod model;
pub mod queue;
pub mod sim;
pub mod wait;

pub use clock::TestClock;
pub use sim::SimChannel;
pub use wait::{eventually, run};

/// Makes each named case of a suite an ordinary test with a harness of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($suite:ident, $harness:expr, { $($file:ident: [$($case:ident),+ $(,)?]),+ $(,)? }) => {
        $($(
            #[test]
            fn $case() {
                $crate::run(async { $crate::$suite::$file::$case($harness).await });
            }
        )+)+
    };
}
