//! Counting the sends of each token, for rules that hold for the first few only.

use std::collections::HashMap;

use crate::hash::Hash128;
use crate::limits::MAX_FIRST_COUNTERS;

#[derive(Debug)]
pub(super) struct FirstSends {
    /// By rule and token.
    sends: HashMap<(usize, Hash128), u32>,
    max: usize,
}

impl Default for FirstSends {
    fn default() -> FirstSends {
        FirstSends { sends: HashMap::new(), max: MAX_FIRST_COUNTERS }
    }
}

impl FirstSends {
    /// Counts a send and says whether it is among the first so many. Tokens beyond the bound aren't counted; theirs
    /// never are.
    pub(super) fn is_among(&mut self, first: u32, rule: usize, token: Hash128) -> bool {
        let key = (rule, token);
        if self.sends.len() >= self.max && !self.sends.contains_key(&key) {
            return false;
        }
        let sends = self.sends.entry(key).or_insert(0);
        if *sends >= first {
            return false;
        }
        *sends += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_beyond_the_bound_are_let_through() {
        assert_eq!(FirstSends::default().max, MAX_FIRST_COUNTERS);
        let mut first = FirstSends { max: 1, ..FirstSends::default() };
        assert!(first.is_among(2, 0, 7));
        assert!(!first.is_among(2, 0, 8));
        assert!(!first.is_among(2, 1, 7), "another rule counts by itself");
        assert!(first.is_among(2, 0, 7));
        assert!(!first.is_among(2, 0, 7));
    }
}
