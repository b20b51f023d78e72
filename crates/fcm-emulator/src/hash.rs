//! 128-bit keys for what must be told apart exactly by the million, without keeping the strings.
//!
//! Two independently keyed SipHashes: 2 million keys collide with a probability of about 10⁻²⁶.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

pub(crate) type Hash128 = u128;

/// A set of keys that are hashes already.
pub(crate) type HashSet128 = HashSet<Hash128, BuildHasherDefault<PassThrough>>;

#[derive(Debug, Default)]
pub(crate) struct Hasher128 {
    high: RandomState,
    low: RandomState,
}

impl Hasher128 {
    pub(crate) fn of(&self, value: &impl Hash) -> Hash128 {
        u128::from(self.high.hash_one(value)) << 64 | u128::from(self.low.hash_one(value))
    }
}

/// Hashes a [`Hash128`] to its own low half.
#[derive(Debug, Default)]
pub(crate) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_by_where_they_split() {
        let hasher = Hasher128::default();
        assert_eq!(hasher.of(&("ab", "c")), hasher.of(&("ab", "c")));
        assert_ne!(hasher.of(&("ab", "c")), hasher.of(&("a", "bc")));
        let mut set = HashSet128::default();
        assert!(set.insert(hasher.of(&"x")));
        assert!(!set.insert(hasher.of(&"x")));
    }
}
