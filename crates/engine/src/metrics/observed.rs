//! What is read in the background and only shown here: how much waits, and how big the store is. A scrape reads the last
//! numbers and asks nobody, so that it answers at once whatever the store does.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::route::{Route, Way};
use pabal_core::seam::RouteCount;
use pabal_core::seam::store::StoreSize;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use super::catalogue as its;
use super::family::Described;

/// The last numbers of each kind, with the time they were read.
#[derive(Default)]
pub(super) struct Observed {
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    queue: Option<(Instant, Vec<RouteCount>)>,
    size: Option<(Instant, StoreSize)>,
    kept: Option<(Instant, Vec<Kept>)>,
}

/// How many deliveries there are of a state and reason.
pub type Kept = (DeliveryState, Option<Reason>, u64);

impl Observed {
    pub(super) fn queue(&self, counts: Vec<RouteCount>) {
        self.lock().queue = Some((Instant::now(), counts));
    }

    pub(super) fn size(&self, size: StoreSize) {
        self.lock().size = Some((Instant::now(), size));
    }

    pub(super) fn kept(&self, kept: Vec<Kept>) {
        self.lock().kept = Some((Instant::now(), kept));
    }

    pub(super) fn expose(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let last = self.lock();
        let counts = last.queue.as_ref().map_or(&[][..], |(_, counts)| counts);
        let of_routes = |number: fn(&RouteCount) -> u64| {
            counts.iter().map(move |count| (route_labels(&count.route).to_vec(), number(count) as f64))
        };
        expose(&its::QUEUE_ENTRIES, encoder, of_routes(|count| count.entries))?;
        expose(&its::QUEUE_LEASED, encoder, of_routes(|count| count.leased))?;
        let ages = counts.iter().map(|count| {
            (route_labels(&count.route).to_vec(), count.oldest_due_ms.unwrap_or(0) as f64 / 1000.0)
        });
        expose(&its::OLDEST_DUE, encoder, ages)?;
        let size = last.size.map(|(_, size)| size);
        expose(&its::STORE_SIZE, encoder, size.map(|size| (Vec::new(), size.used_bytes as f64)))?;
        let free = size.and_then(|size| size.disk_free_bytes);
        expose(&its::DISK_FREE, encoder, free.map(|bytes| (Vec::new(), bytes as f64)))?;
        let kept = last.kept.as_ref().map_or(&[][..], |(_, kept)| kept);
        expose(&its::KEPT, encoder, kept.iter().map(kept_sample))?;
        expose(&its::OBSERVED_AGE, encoder, last.ages())
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn ages(&self) -> impl Iterator<Item = (Vec<String>, f64)> {
        let read_at = [
            ("queue", self.queue.as_ref().map(|(at, _)| *at)),
            ("store", self.size.as_ref().map(|(at, _)| *at)),
            ("deliveries", self.kept.as_ref().map(|(at, _)| *at)),
        ];
        read_at.into_iter().filter_map(|(of, at)| Some((vec![of.to_owned()], at?.elapsed().as_secs_f64())))
    }
}

fn kept_sample((state, reason, count): &Kept) -> (Vec<String>, f64) {
    let labels = [state.as_str(), reason.map_or("", Reason::as_str)];
    (labels.map(str::to_owned).to_vec(), *count as f64)
}

/// The values of the labels of a route.
pub(super) fn route_labels(route: &Route) -> [String; 4] {
    let lane = route.lane.to_string();
    match &route.way {
        Way::FanOut => [lane, "fanout".to_owned(), String::new(), String::new()],
        Way::Channel { channel, credential, platform } => {
            [lane, channel.to_string(), credential.to_string(), platform.to_string()]
        }
    }
}

/// Exposes gauges that are known at this moment.
pub(super) fn expose(
    described: &'static Described,
    encoder: &mut DescriptorEncoder<'_>,
    samples: impl IntoIterator<Item = (Vec<String>, f64)>,
) -> fmt::Result {
    let samples: Vec<(Vec<String>, ConstGauge<f64>)> =
        samples.into_iter().map(|(labels, number)| (labels, ConstGauge::new(number))).collect();
    described.expose(encoder, samples.iter().map(|(labels, gauge)| (labels.as_slice(), gauge)))
}
