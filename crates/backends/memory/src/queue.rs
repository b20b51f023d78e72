//! Which ids are due when, in memory.
//!
//! Each entry lies in one of three places, ordered by the time at which it may next be claimed:
//!
//! ```text
//!   enqueue ──► Waiting ──claim──► Leased ──settle Done──► gone
//!                 ▲  ▲               │ │
//!                 │  └─settle Retry──┘ │ its lease ends, and a claim finds it: abandoned + 1
//!                 ├──── below SUSPECT_AFTER
//!                 └ Suspect ◄── from SUSPECT_AFTER on; leased by Want::Suspects alone
//! ```
//!
//! A lease that has ended is still its holder's until another claim takes the entry: a late settle that nobody has
//! overtaken counts. That is why an entry keeps the epoch and worker of its last claim when it is found abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::ids::ItemId;
use pabal_core::limits;
use pabal_core::route::Route;
use pabal_core::seam::{
    Binding, Claim, Epoch, Generation, Lease, Leased, Queue, QueueItem, QueueSettle, Removed, RouteCount,
    Settle, Then, Want, Worker,
};
use pabal_core::{Error, ErrorKind, Result};

/// A queue in memory. It is a server of its own, as Redis would be: it outlives the ledgers made over it.
pub struct MemoryQueue {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl MemoryQueue {
    /// An empty, unbound queue that goes by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// Test control: everything is gone, as after `FLUSHALL`: entries, leases, binding and generation.
    pub fn wipe(&self) {
        *self.lock() = State::default();
    }

    /// Test control: all leases end now, as those of an earlier boot do when an embedded server starts.
    pub fn end_leases(&self) {
        let mut state = self.lock();
        let leased = state.entries.iter().filter(|(_, entry)| entry.place == Place::Leased);
        let leased: Vec<ItemId> = leased.map(|(id, _)| *id).collect();
        for id in leased {
            // Long ago, so that no later step of the clock brings the lease back to life: not one that has ended either.
            state.change(&id, |entry| entry.at = Timestamp::default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Waiting,
    Suspect,
    Leased,
}

#[derive(Debug, Clone)]
struct Entry {
    route: Route,
    place: Place,
    /// When it may be claimed: its due time, or under a lease the lease's end.
    at: Timestamp,
    /// What `at` was when it was last claimed.
    at_before: Timestamp,
    /// When it was to be claimed: at its enqueue, or at the end of its last retry's delay.
    due: Timestamp,
    /// The last claim's, or else the floor that came with the entry.
    epoch: Epoch,
    /// The last claim's, until that is settled or released.
    worker: Option<Worker>,
    abandoned: u32,
}

impl Entry {
    fn is_of(&self, lease: &Lease) -> bool {
        self.worker == Some(lease.worker) && self.epoch == lease.epoch
    }

    /// Whether somebody holds a lease that has not ended.
    fn is_held(&self, now: Timestamp) -> bool {
        self.place == Place::Leased && self.at > now
    }

    fn lie_unleased(&mut self) {
        let suspect = self.abandoned >= limits::SUSPECT_AFTER;
        self.place = if suspect { Place::Suspect } else { Place::Waiting };
    }
}

#[derive(Default)]
struct State {
    binding: Option<Binding>,
    generation: Option<Generation>,
    entries: BTreeMap<ItemId, Entry>,
    /// Every entry once, by place and route in the order in which it is claimed.
    order: BTreeMap<(Place, Route), BTreeSet<(Timestamp, ItemId)>>,
}

impl State {
    /// The one way to change an entry, so that `order` never disagrees. `None` where there is none.
    fn change<T>(&mut self, id: &ItemId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entry = self.take(id)?;
        let answer = change(&mut entry);
        self.put(*id, entry);
        Some(answer)
    }

    fn put(&mut self, id: ItemId, entry: Entry) {
        self.order.entry((entry.place, entry.route.clone())).or_default().insert((entry.at, id));
        self.entries.insert(id, entry);
    }

    fn take(&mut self, id: &ItemId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        let place = (entry.place, entry.route.clone());
        if let Some(ordered) = self.order.get_mut(&place) {
            ordered.remove(&(entry.at, *id));
            if ordered.is_empty() {
                self.order.remove(&place);
            }
        }
        Some(entry)
    }

    fn ordered(&self, place: Place, route: &Route) -> impl Iterator<Item = (Timestamp, ItemId)> {
        self.order.get(&(place, route.clone())).into_iter().flatten().copied()
    }

    fn ripe(&self, place: Place, route: &Route, now: Timestamp) -> impl Iterator<Item = (Timestamp, ItemId)> {
        self.ordered(place, route).take_while(move |(at, _)| *at <= now)
    }

    /// Finds the leases on a route that have ended: each counts as abandoned once more.
    fn find_abandoned(&mut self, route: &Route, now: Timestamp) {
        let ended: Vec<_> = self.ripe(Place::Leased, route, now).collect();
        for (_, id) in ended {
            self.change(&id, |entry| {
                entry.abandoned += 1;
                entry.lie_unleased();
            });
        }
    }

    fn lease(&mut self, id: ItemId, claim: &Claim, now: Timestamp) -> Option<Lease> {
        self.change(&id, |entry| {
            entry.place = Place::Leased;
            entry.at_before = entry.at;
            entry.at = now.plus_ms(ms(claim.visibility_ms));
            entry.epoch = Epoch::next(entry.epoch, entry.epoch, now);
            entry.worker = Some(claim.worker);
            Lease {
                id,
                route: entry.route.clone(),
                worker: claim.worker,
                epoch: entry.epoch,
                until: entry.at,
                abandoned: entry.abandoned,
                late_ms: entry.due.ms_until(now),
            }
        })
    }

    fn claim(&mut self, claim: &Claim, now: Timestamp) -> Leased {
        let routes: BTreeSet<&Route> = match &claim.want {
            Want::Ordinary(wanted) => wanted.iter().map(|(route, _)| route).collect(),
            Want::Suspects(routes) => routes.iter().collect(),
        };
        for route in &routes {
            self.find_abandoned(route, now);
        }
        let mut leases = Vec::new();
        match &claim.want {
            Want::Ordinary(wanted) => {
                for (route, max) in wanted {
                    let room = (limits::CLAIM_MAX - leases.len()).min(*max);
                    let due: Vec<_> = self.ripe(Place::Waiting, route, now).take(room).collect();
                    leases.extend(due.into_iter().filter_map(|(_, id)| self.lease(id, claim, now)));
                }
            }
            Want::Suspects(_) => {
                let due = self.suspects(&routes, now);
                leases.extend(due.into_iter().filter_map(|id| self.lease(id, claim, now)));
            }
        }
        let soonest = routes.iter().flat_map(|route| {
            [Place::Waiting, Place::Leased].into_iter().filter_map(|place| self.ordered(place, route).next())
        });
        Leased {
            leases,
            next_due_in_ms: soonest.map(|(at, _)| now.ms_until(at)).min(),
            suspects_waiting: routes
                .iter()
                .any(|route| self.ripe(Place::Suspect, route, now).next().is_some()),
            server_now: now,
            generation: self.generation,
        }
    }

    fn suspects(&self, routes: &BTreeSet<&Route>, now: Timestamp) -> Vec<ItemId> {
        let mut due: Vec<(u32, Timestamp, ItemId)> = Vec::new();
        for route in routes {
            let abandoned = |id: &ItemId| self.entries.get(id).map_or(0, |entry| entry.abandoned);
            due.extend(self.ripe(Place::Suspect, route, now).map(|(at, id)| (abandoned(&id), at, id)));
        }
        due.sort_unstable();
        let Some(&(least, _, _)) = due.first() else { return Vec::new() };
        due.into_iter()
            .take_while(|(abandoned, _, _)| *abandoned == least)
            .take(limits::suspects_at_once(least))
            .map(|(_, _, id)| id)
            .collect()
    }

    fn settle(&mut self, settle: &QueueSettle, now: Timestamp) -> Settle {
        if !self.is_of(&settle.lease) {
            return Settle::Stale;
        }
        match &settle.then {
            Then::Done => {
                self.take(&settle.lease.id);
            }
            Then::Retry { in_ms, route } => {
                self.change(&settle.lease.id, |entry| {
                    entry.route = route.clone();
                    entry.at = now.plus_ms(ms(*in_ms));
                    entry.due = entry.at;
                    entry.worker = None;
                    entry.abandoned = 0;
                    entry.lie_unleased();
                });
            }
        }
        Settle::Ok
    }

    fn release(&mut self, lease: &Lease, now: Timestamp) -> Settle {
        if !self.is_of(lease) {
            return Settle::Stale;
        }
        self.change(&lease.id, |entry| {
            // Its own place in the line, and due at once even if the clock was set back meanwhile.
            entry.at = entry.at_before.min(now);
            entry.worker = None;
            entry.abandoned = lease.abandoned;
            entry.lie_unleased();
        });
        Settle::Ok
    }

    fn extend(&mut self, lease: &Lease, visibility_ms: u64, now: Timestamp) -> Option<Lease> {
        if !self.is_of(lease) {
            return None;
        }
        self.change(&lease.id, |entry| {
            entry.place = Place::Leased;
            entry.at = now.plus_ms(ms(visibility_ms));
            entry.abandoned = lease.abandoned;
            Lease { until: entry.at, ..lease.clone() }
        })
    }

    fn is_of(&self, lease: &Lease) -> bool {
        self.entries.get(&lease.id).is_some_and(|entry| entry.is_of(lease))
    }

    fn remove(&mut self, id: &ItemId, now: Timestamp) -> Removed {
        match self.entries.get(id) {
            None => Removed::Absent,
            Some(entry) if entry.is_held(now) => Removed::Leased,
            Some(_) => {
                self.take(id);
                Removed::Removed
            }
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        let mut state = self.lock();
        let bound = *state.binding.get_or_insert(*binding);
        if bound == *binding {
            return Ok(state.generation);
        }
        let message = format!("the queue is bound to {}, this is {}", named(&bound), named(binding));
        Err(Error::new(ErrorKind::BoundElsewhere, "bind", message))
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        let mut state = self.lock();
        if state.binding.is_none() {
            let message = "the queue was wiped since it was bound";
            return Err(Error::new(ErrorKind::Conflict, "open_generation", message));
        }
        state.generation = Some(generation);
        Ok(())
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.lock();
        for item in items {
            if state.entries.contains_key(&item.id) {
                continue;
            }
            let due = now.plus_ms(ms(item.due_in_ms));
            let entry = Entry {
                route: item.route.clone(),
                place: Place::Waiting,
                at: due,
                at_before: due,
                due,
                epoch: item.epoch_floor,
                worker: None,
                abandoned: 0,
            };
            state.put(item.id, entry);
        }
        Ok(())
    }

    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        Ok(self.lock().claim(claim, self.clock.now()))
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        let now = self.clock.now();
        let mut state = self.lock();
        Ok(items.iter().map(|item| state.settle(item, now)).collect())
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        let now = self.clock.now();
        let mut state = self.lock();
        Ok(leases.iter().map(|lease| state.release(lease, now)).collect())
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        let now = self.clock.now();
        let mut state = self.lock();
        Ok(leases.iter().map(|lease| state.extend(lease, visibility_ms, now)).collect())
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        let now = self.clock.now();
        let mut state = self.lock();
        Ok(ids.iter().map(|id| state.remove(id, now)).collect())
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        let state = self.lock();
        Ok(ids.iter().map(|id| state.entries.contains_key(id)).collect())
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        let now = self.clock.now();
        let state = self.lock();
        let mut counts = BTreeMap::<&Route, RouteCount>::new();
        for entry in state.entries.values() {
            let route = entry.route.clone();
            let none = RouteCount { route, entries: 0, leased: 0, oldest_due_ms: None };
            let count = counts.entry(&entry.route).or_insert(none);
            count.entries += 1;
            count.leased += u64::from(entry.is_held(now));
            let waits_due = !entry.is_held(now) && entry.due <= now;
            count.oldest_due_ms = count.oldest_due_ms.max(waits_due.then(|| entry.due.ms_until(now)));
        }
        Ok(counts.into_values().collect())
    }
}

fn named(binding: &Binding) -> String {
    let Binding { store, layout, shards } = binding;
    format!("store {store}, layout {layout}, {shards} shards")
}

/// Milliseconds as [`Timestamp`] moves by; beyond its range is as good as its end.
fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
