//! The property test: random histories, played on a ledger and on the reference model side by side, with the same
//! clocks and the same ids. After each step both must show the same to whoever looks (answers, claimable work, states,
//! timelines, counts), and the invariants that no history may break are asserted on the ledger alone.
//!
//! A history is a list of operations (`op.rs`). Whatever it names by number (the third lease, the second notification) is
//! taken modulo what there is, so that every list makes sense and a failing one shrinks well.
//!
//! The same histories run each time. `PABAL_MODEL_SEED` gives others, `PABAL_MODEL_CASES` more of them.

mod op;
mod side;
mod watch;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::ledger::LedgerHarness;

/// How many steps a history has at most.
const STEPS_MAX: usize = 60;

/// Plays random histories on ledgers that `make` opens, each on one of its own.
///
/// # Panics
/// If a ledger and the model differ, or an invariant is broken; the message holds the shortest history found.
pub fn check<H: LedgerHarness>(make: impl AsyncFn() -> H) {
    let cases = from_environment("PABAL_MODEL_CASES").map_or(H::HISTORIES, |cases| cases as u32);
    let seed = from_environment("PABAL_MODEL_SEED").unwrap_or(0);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let played = runner.run(&op::histories(STEPS_MAX), |history| {
        runtime.block_on(async {
            let world = Box::pin(world::World::open(make().await)).await;
            Box::pin(world.play(&history)).await;
        });
        Ok(())
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(reason, history)) => {
            let steps: String = history.iter().map(|op| format!("\n    {op:?},")).collect();
            panic!("seed {seed}: {reason}\nthe shortest history found:{steps}");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
