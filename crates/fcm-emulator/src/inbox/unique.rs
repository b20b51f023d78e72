//! Telling sends apart by (target, `pabal_id`), exactly, at 16 bytes each.

use crate::hash::{Hash128, HashSet128};
use crate::limits::MAX_UNIQUE;

#[derive(Debug)]
pub(super) struct Unique {
    seen: HashSet128,
    dropped: u64,
    max: usize,
}

impl Default for Unique {
    fn default() -> Unique {
        Unique { seen: HashSet128::default(), dropped: 0, max: MAX_UNIQUE }
    }
}

impl Unique {
    /// Takes a pair in. Unseen ones beyond the bound are only counted as dropped.
    pub(super) fn insert(&mut self, pair: Hash128) {
        if self.seen.len() < self.max {
            self.seen.insert(pair);
        } else if !self.seen.contains(&pair) {
            self.dropped += 1;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_count_stands_still_and_says_so() {
        assert_eq!(Unique::default().max, MAX_UNIQUE);
        let mut unique = Unique { max: 2, ..Unique::default() };
        for pair in [1, 1, 2, 3, 2, 3] {
            unique.insert(pair);
        }
        assert_eq!((unique.count(), unique.dropped()), (2, 2));
    }
}
