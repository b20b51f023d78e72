//! Chance as a parameter: jitter, new ids and probes draw from a [`Chance`], so that a seed replays a whole run.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// Where random numbers come from.
pub trait Chance: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;

    /// A number in `[0, 1)`.
    fn unit(&self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Ten random bytes, as a new id needs them.
    fn ten_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_le_bytes()[..2]);
        bytes
    }
}

impl<C: Chance + ?Sized> Chance for Arc<C> {
    fn next_u64(&self) -> u64 {
        (**self).next_u64()
    }
}

/// A generator that is seeded once: from the operating system in production, from a number in a simulation.
#[derive(Debug)]
pub struct SeededChance(Mutex<SmallRng>);

impl SeededChance {
    /// The same seed gives the same numbers for ever.
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self(Mutex::new(SmallRng::from_os_rng()))
    }
}

impl Chance for SeededChance {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}
