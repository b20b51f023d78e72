//! A histogram without a mutex: each thread adds to a shard of its own, and a reader sums the shards. Observing is two
//! atomic additions.
//!
//! Values are whole ticks (microseconds, milliseconds, items), so that sums are exact whatever the order of additions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Shards of a histogram: threads beyond so many share them.
const SHARDS: usize = 8;
/// Bounds that a histogram has at most.
pub const BOUNDS_MAX: usize = 15;

/// The bounds of a histogram's buckets.
#[derive(Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The greatest value of each bucket, in ticks, ascending, at most [`BOUNDS_MAX`]. A last bucket without a bound
    /// follows.
    pub bounds: &'static [u64],
    /// Ticks of one exposed unit: 1000 where milliseconds are exposed as seconds.
    pub ticks_per_unit: u64,
}

/// How long a call over the network or to a disk takes: 1 ms to 30 s.
pub static LATENCY: Buckets = Buckets {
    bounds: &[
        1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 15_000_000, 30_000_000,
    ],
    ticks_per_unit: 1_000_000,
};
/// How late something begins: 10 ms to a day.
pub static LATENESS: Buckets = Buckets {
    bounds: &[
        10, 50, 100, 250, 500, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000,
        86_400_000,
    ],
    ticks_per_unit: 1_000,
};
/// How many items one call carries.
pub static ITEMS: Buckets =
    Buckets { bounds: &[0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000], ticks_per_unit: 1 };

/// A histogram. A clone counts into the same one.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    buckets: &'static Buckets,
    shards: [Shard; SHARDS],
}

/// What some of the threads have observed, on cache lines that no other shard has a part of.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    counts: [AtomicU64; BOUNDS_MAX + 1],
    sum: AtomicU64,
}

/// What a histogram holds at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Observations in each bucket alone, the one without a bound last.
    pub counts: Vec<u64>,
    /// All observed values together, in ticks.
    pub sum: u64,
}

impl Histogram {
    /// An empty histogram. Bounds beyond [`BOUNDS_MAX`] are left out.
    pub fn new(buckets: &'static Buckets) -> Self {
        Self(Arc::new(Inner { buckets, shards: Default::default() }))
    }

    /// Counts a value, in ticks.
    pub fn observe(&self, ticks: u64) {
        let bounds = self.0.bounds();
        let bucket = bounds.partition_point(|bound| *bound < ticks);
        let shard = &self.0.shards[own_shard()];
        shard.counts[bucket].fetch_add(1, Ordering::Relaxed);
        shard.sum.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Counts a duration, where ticks are microseconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What it holds now. What is observed meanwhile may be in the counts and not yet in the sum.
    pub fn snapshot(&self) -> Snapshot {
        let mut counts = vec![0; self.0.bounds().len() + 1];
        let mut sum = 0_u64;
        for shard in &self.0.shards {
            for (count, of_shard) in counts.iter_mut().zip(&shard.counts) {
                *count += of_shard.load(Ordering::Relaxed);
            }
            sum = sum.wrapping_add(shard.sum.load(Ordering::Relaxed));
        }
        Snapshot { counts, sum }
    }
}

impl Inner {
    fn bounds(&self) -> &'static [u64] {
        &self.buckets.bounds[..self.buckets.bounds.len().min(BOUNDS_MAX)]
    }
}

/// The shard of this thread: threads take turns in the order in which they first observe something.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Snapshot { counts, sum } = self.snapshot();
        let per_unit = self.0.buckets.ticks_per_unit as f64;
        let bounds = self.0.bounds().iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
        let count = counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(sum as f64 / per_unit, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, the slow and plain way.
    fn plainly(buckets: &Buckets, values: &[u64]) -> Snapshot {
        let mut counts = vec![0; buckets.bounds.len() + 1];
        for value in values {
            let bucket = buckets.bounds.iter().position(|bound| value <= bound);
            counts[bucket.unwrap_or(buckets.bounds.len())] += 1;
        }
        Snapshot { counts, sum: values.iter().sum() }
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(&ITEMS);
        for items in [0, 1, 1000, 1001] {
            histogram.observe(items);
        }
        assert_eq!(histogram.snapshot().counts, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(histogram.snapshot().sum, 2002);
    }

    #[test]
    fn all_bounds_fit_and_ascend() {
        for buckets in [&LATENCY, &LATENESS, &ITEMS] {
            assert!(buckets.bounds.len() <= BOUNDS_MAX, "{buckets:?}");
            assert!(buckets.bounds.is_sorted_by(|one, next| one < next), "{buckets:?}");
        }
    }

    #[test]
    fn a_clone_is_the_same_histogram() {
        let histogram = Histogram::new(&LATENCY);
        histogram.clone().observe_time(Duration::from_millis(3));
        assert_eq!(histogram.snapshot(), plainly(&LATENCY, &[3000]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn threads_together_lose_nothing(values in prop::collection::vec(0_u64..100_000_000, 0..400), threads in 1_usize..12) {
            let histogram = Histogram::new(&LATENESS);
            std::thread::scope(|scope| {
                for part in values.chunks(values.len().div_ceil(threads).max(1)) {
                    let histogram = &histogram;
                    scope.spawn(move || part.iter().for_each(|value| histogram.observe(*value)));
                }
            });
            prop_assert_eq!(histogram.snapshot(), plainly(&LATENESS, &values));
        }
    }
}
