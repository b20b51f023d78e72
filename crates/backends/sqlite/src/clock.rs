//! The embedded server's clock. SQLite has no server whose clock could decide, so this one is anchored to the wall clock
//! at start, follows the monotonic clock, and moves towards the wall clock by at most 1 % of the time since it was last
//! read: a wall clock that is set back does not bring retries forward or let leases last for an hour. A step over a
//! minute raises an alarm.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pabal_core::clock::{Clock, Timestamp};

/// Of each elapsed millisecond, the part by which the clock may move towards the wall clock.
const SLEW: i64 = 100;
/// A distance from the wall clock that raises an alarm.
const ALARM_MS: i64 = 60_000;

/// A clock that never jumps and never goes back.
pub struct AnchoredClock {
    wall: Arc<dyn Clock>,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// What the clock showed when it was last read.
    shown: Timestamp,
    /// Monotonic milliseconds since the start at that time.
    at_ms: i64,
    /// What was left of the last millisecond that may be moved, in 1/[`SLEW`]: less than one, whatever time passes.
    remainder: i64,
    alarmed: bool,
}

impl AnchoredClock {
    /// A clock that is anchored to `wall` now.
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        let state = State { shown: wall.now(), at_ms: 0, remainder: 0, alarmed: false };
        Self { wall, started: Instant::now(), state: Mutex::new(state) }
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let was_alarmed = state.alarmed;
        *state = advanced(*state, at_ms, self.wall.now());
        if state.alarmed && !was_alarmed {
            let off_s = (self.wall.now().as_ms() - state.shown.as_ms()) / 1000;
            tracing::error!(off_s, "the wall clock has stepped; due times follow it slowly, by 1 %");
        }
        state.shown
    }
}

/// The clock's state at the monotonic time `at_ms`, when the wall clock shows `wall`.
fn advanced(state: State, at_ms: i64, wall: Timestamp) -> State {
    let elapsed = (at_ms - state.at_ms).max(0);
    let steady = state.shown.plus_ms(elapsed);
    let off = wall.as_ms() - steady.as_ms();
    let room = state.remainder + elapsed;
    let may = room / SLEW;
    State {
        shown: steady.plus_ms(off.clamp(-may, may)),
        at_ms: state.at_ms + elapsed,
        remainder: room % SLEW,
        alarmed: off.abs() > ALARM_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000_000;

    fn run(steps: impl IntoIterator<Item = (i64, i64)>) -> Vec<State> {
        let mut state = State { shown: Timestamp::from_ms(START), at_ms: 0, remainder: 0, alarmed: false };
        let step = |(at_ms, wall)| {
            state = advanced(state, at_ms, Timestamp::from_ms(wall));
            state
        };
        steps.into_iter().map(step).collect()
    }

    #[test]
    fn it_follows_a_good_wall_clock() {
        let shown = run([(1000, START + 1000), (5000, START + 5000)]);
        assert_eq!(shown.last().unwrap().shown.as_ms(), START + 5000);
    }

    #[test]
    fn a_step_of_an_hour_is_followed_by_one_percent_and_alarms() {
        let hour = 3_600_000;
        let ahead = run([(1000, START + 1000 + hour)]);
        assert_eq!((ahead[0].shown.as_ms(), ahead[0].alarmed), (START + 1010, true));
        let back = run([(1000, START + 1000 - hour)]);
        assert_eq!(back[0].shown.as_ms(), START + 990);
    }

    #[test]
    fn a_long_good_run_saves_nothing_up_for_a_step() {
        let minute = 60_000;
        let good = (1..=100).map(|n| (n * minute, START + n * minute));
        let (end, step) = (100 * minute, 59_000);
        for (step, alarmed) in [(step, false), (-step, false), (minute + 2000, true), (-minute - 2000, true)]
        {
            let after = (1..=10).map(|s| (end + s * 1000, START + end + s * 1000 + step));
            let states = run(good.clone().chain(after));
            for (s, state) in (1..).zip(&states[100..]) {
                let moved = state.shown.as_ms() - (START + end + s * 1000);
                assert_eq!((moved, state.alarmed), (10 * s * step.signum(), alarmed), "{s} s after {step}");
            }
        }
    }

    #[test]
    fn it_never_goes_back() {
        let shown = run((1..10_000).map(|ms| (ms, START - 3_600_000)));
        assert!(shown.windows(2).all(|pair| pair[0].shown <= pair[1].shown));
    }

    #[test]
    fn read_often_or_seldom_it_moves_alike() {
        let often = run((1..=10_000).map(|ms| (ms, START + ms + 50_000)));
        let seldom = run([(10_000, START + 10_000 + 50_000)]);
        assert_eq!(often.last().unwrap().shown, seldom[0].shown);
        assert_eq!(seldom[0].shown.as_ms(), START + 10_100);
    }
}
