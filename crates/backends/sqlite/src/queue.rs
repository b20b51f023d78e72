//! The queue in SQL: *which ids are due when*.
//!
//! An entry lies in one of three places: waiting, leased, or suspect. A claim first finds the leases on its routes that
//! have ended (each counts as abandoned once more), then walks what waits in the order of its due time.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{ItemId, StoreId};
use pabal_core::route::Route;
use pabal_core::seam::{
    Binding, Claim, Epoch, Generation, Lease, Leased, Queue, QueueItem, QueueSettle, Removed, RouteCount,
    Settle, Then, Want,
};
use pabal_core::{Error, ErrorKind, Result, limits};
use rusqlite::{Row, params};

use crate::core::Core;
use crate::rows::{item_of, signed, unsigned};
use crate::tx::Tx;

/// Places of an entry, as the schema numbers them.
const WAITING: i64 = 0;
const LEASED: i64 = 1;
const SUSPECT: i64 = 2;

/// Leases of an earlier boot end at this time: long ago, so that no step of the clock brings one back to life.
const LONG_AGO: i64 = 0;

/// An entry that can be leased.
struct Entry {
    id: [u8; 16],
    fan_out: bool,
    due_at: i64,
    /// When it fell due, whatever leases came and ended since.
    fell_due_at: i64,
    epoch: i64,
    abandoned: u32,
}

/// How many entries each route gains or loses by one call.
#[derive(Default)]
struct Moves(BTreeMap<i64, i64>);

impl Moves {
    fn add(&mut self, route: i64, entries: i64) {
        *self.0.entry(route).or_default() += entries;
    }

    fn write(&self, tx: &Tx<'_>) -> Result<()> {
        let add = "INSERT INTO queue_counts (route, entries) VALUES (?1, ?2) \
                   ON CONFLICT (route) DO UPDATE SET entries = entries + excluded.entries";
        for (route, entries) in self.0.iter().filter(|(_, entries)| **entries != 0) {
            tx.run("count", add, params![route, entries])?;
        }
        Ok(())
    }
}

impl Tx<'_> {
    fn ripe(&self, place: i64, route: i64, max: usize) -> Result<Vec<Entry>> {
        let ripe = "SELECT id, fan_out, due_at, fell_due_at, epoch, abandoned FROM queue \
                    WHERE place = ?1 AND route = ?2 AND due_at <= ?3 ORDER BY due_at, id LIMIT ?4";
        let max = signed(max as u64);
        self.all("claim", ripe, params![place, route, self.now.as_ms(), max], |row| {
            Ok(Entry {
                id: row.get(0)?,
                fan_out: row.get(1)?,
                due_at: row.get(2)?,
                fell_due_at: row.get(3)?,
                epoch: row.get(4)?,
                abandoned: row.get(5)?,
            })
        })
    }

    /// When the first entry in a place is due; under a lease, when that ends.
    fn soonest(&self, place: i64, route: i64) -> Result<Option<i64>> {
        let soonest = "SELECT due_at FROM queue WHERE place = ?1 AND route = ?2 ORDER BY due_at LIMIT 1";
        self.first("claim", soonest, params![place, route], |row| row.get(0))
    }

    /// Finds the leases on a route that have ended: each counts as abandoned once more.
    fn find_abandoned(&self, route: i64) -> Result<()> {
        let found = "UPDATE queue SET place = iif(abandoned + 1 >= ?1, ?2, ?3), abandoned = abandoned + 1 \
                     WHERE place = ?4 AND route = ?5 AND due_at <= ?6";
        let values = params![limits::SUSPECT_AFTER, SUSPECT, WAITING, LEASED, route, self.now.as_ms()];
        self.run("claim", found, values).map(drop)
    }

    fn lease(&self, place: i64, route: (&Route, i64), entry: &Entry, claim: &Claim) -> Result<Lease> {
        let lease = "UPDATE queue SET place = ?1, due_at = ?2, due_before = due_at, epoch = ?3, worker = ?4 \
                     WHERE place = ?5 AND route = ?6 AND due_at = ?7 AND id = ?8";
        let until = self.now.plus_ms(signed(claim.visibility_ms));
        let epoch = Epoch::next(Epoch(entry.epoch), Epoch(entry.epoch), self.now);
        let worker = claim.worker.0.cast_signed();
        let values = params![LEASED, until.as_ms(), epoch.0, worker, place, route.1, entry.due_at, entry.id];
        self.run("claim", lease, values)?;
        Ok(Lease {
            id: item_of(entry.id, entry.fan_out),
            route: route.0.clone(),
            worker: claim.worker,
            epoch,
            until,
            abandoned: entry.abandoned,
            late_ms: Timestamp::from_ms(entry.fell_due_at).ms_until(self.now),
        })
    }

    fn claim(&self, claim: &Claim) -> Result<Leased> {
        let routes = self.numbered(&claim.want)?;
        for (_, number, _) in &routes {
            self.find_abandoned(*number)?;
        }
        let mut leases = Vec::new();
        match &claim.want {
            Want::Ordinary(_) => {
                for (route, number, max) in &routes {
                    let room = (limits::CLAIM_MAX - leases.len()).min(*max);
                    for entry in self.ripe(WAITING, *number, room)? {
                        leases.push(self.lease(WAITING, (route, *number), &entry, claim)?);
                    }
                }
            }
            Want::Suspects(_) => {
                for (route, number, entry) in self.suspects(&routes)? {
                    leases.push(self.lease(SUSPECT, (&route, number), &entry, claim)?);
                }
            }
        }
        self.leased(leases, &routes)
    }

    fn leased(&self, leases: Vec<Lease>, routes: &[(Route, i64, usize)]) -> Result<Leased> {
        let (mut soonest, mut suspects_waiting) = (None, false);
        for (_, number, _) in routes {
            for place in [WAITING, LEASED] {
                let due = self.soonest(place, *number)?.map(|at| self.now.ms_until(Timestamp::from_ms(at)));
                soonest = [soonest, due].into_iter().flatten().min();
            }
            suspects_waiting |= self.soonest(SUSPECT, *number)?.is_some_and(|at| at <= self.now.as_ms());
        }
        let generation = self.binding()?.and_then(|(_, generation)| generation);
        Ok(Leased { leases, next_due_in_ms: soonest, suspects_waiting, server_now: self.now, generation })
    }

    /// The routes asked for that have a number: the others hold nothing.
    fn numbered(&self, want: &Want) -> Result<Vec<(Route, i64, usize)>> {
        let asked: Vec<(Route, usize)> = match want {
            Want::Ordinary(wanted) => wanted.clone(),
            Want::Suspects(routes) => {
                let distinct: BTreeSet<&Route> = routes.iter().collect();
                distinct.into_iter().map(|route| (route.clone(), 0)).collect()
            }
        };
        let mut numbered = Vec::with_capacity(asked.len());
        for (route, max) in asked {
            if let Some(number) = self.routes.find(self.connection, &route)? {
                numbered.push((route, number, max));
            }
        }
        Ok(numbered)
    }

    /// The suspects of one claim: all abandoned equally often, the least often first, oldest due first.
    fn suspects(&self, routes: &[(Route, i64, usize)]) -> Result<Vec<(Route, i64, Entry)>> {
        let mut due = Vec::new();
        for (route, number, _) in routes {
            let ripe = self.ripe(SUSPECT, *number, limits::CLAIM_MAX)?;
            due.extend(ripe.into_iter().map(|entry| (route.clone(), *number, entry)));
        }
        due.sort_by_key(|(_, _, entry)| (entry.abandoned, entry.due_at, entry.fan_out, entry.id));
        let Some(least) = due.first().map(|(_, _, entry)| entry.abandoned) else { return Ok(due) };
        due.retain(|(_, _, entry)| entry.abandoned == least);
        due.truncate(limits::suspects_at_once(least));
        Ok(due)
    }

    /// The entry of a lease that is still its holder's: (route number, due_before).
    fn held(&self, lease: &Lease) -> Result<Option<(i64, i64)>> {
        let held = "SELECT route, due_before FROM queue WHERE id = ?1 AND epoch = ?2 AND worker = ?3";
        let values = params![lease.id.as_bytes(), lease.epoch.0, lease.worker.0.cast_signed()];
        self.first("settle", held, values, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn settle_one(&self, settle: &QueueSettle, moves: &mut Moves) -> Result<Settle> {
        let Some((number, _)) = self.held(&settle.lease)? else { return Ok(Settle::Stale) };
        match &settle.then {
            Then::Done => {
                self.run("settle", "DELETE FROM queue WHERE id = ?1", [settle.lease.id.as_bytes()])?;
                moves.add(number, -1);
            }
            Then::Retry { in_ms, route } => {
                let next = self.routes.number(self.connection, route)?;
                let due = self.now.plus_ms(signed(*in_ms)).as_ms();
                let retry = "UPDATE queue SET place = ?1, route = ?2, due_at = ?3, fell_due_at = ?3, worker = NULL, abandoned = 0 \
                             WHERE id = ?4";
                self.run("settle", retry, params![WAITING, next, due, settle.lease.id.as_bytes()])?;
                moves.add(number, -1);
                moves.add(next, 1);
            }
        }
        Ok(Settle::Ok)
    }

    fn release_one(&self, lease: &Lease) -> Result<Settle> {
        let Some((_, due_before)) = self.held(lease)? else { return Ok(Settle::Stale) };
        let to = if lease.abandoned >= limits::SUSPECT_AFTER { SUSPECT } else { WAITING };
        let due = due_before.min(self.now.as_ms());
        let release = "UPDATE queue SET place = ?1, due_at = ?2, worker = NULL, abandoned = ?3 WHERE id = ?4";
        self.run("release", release, params![to, due, lease.abandoned, lease.id.as_bytes()])?;
        Ok(Settle::Ok)
    }

    fn extend_one(&self, lease: &Lease, visibility_ms: u64) -> Result<Option<Lease>> {
        if self.held(lease)?.is_none() {
            return Ok(None);
        }
        let until = self.now.plus_ms(signed(visibility_ms));
        let extend = "UPDATE queue SET place = ?1, due_at = ?2, abandoned = ?3 WHERE id = ?4";
        self.run("extend", extend, params![LEASED, until.as_ms(), lease.abandoned, lease.id.as_bytes()])?;
        Ok(Some(Lease { until, ..lease.clone() }))
    }

    fn remove_one(&self, id: &ItemId, moves: &mut Moves) -> Result<Removed> {
        let find = "SELECT place, route, due_at FROM queue WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(i64, i64, i64)> = self.first("remove", find, [id.as_bytes()], read)?;
        match found {
            None => Ok(Removed::Absent),
            Some((LEASED, _, until)) if until > self.now.as_ms() => Ok(Removed::Leased),
            Some((_, number, _)) => {
                self.run("remove", "DELETE FROM queue WHERE id = ?1", [id.as_bytes()])?;
                moves.add(number, -1);
                Ok(Removed::Removed)
            }
        }
    }

    fn enqueue_one(&self, item: &QueueItem, moves: &mut Moves) -> Result<()> {
        let enqueue = "INSERT INTO queue (place, route, due_at, id, fan_out, epoch, worker, abandoned, due_before, \
                       fell_due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, 0, ?3, ?3) ON CONFLICT (id) DO NOTHING";
        let number = self.routes.number(self.connection, &item.route)?;
        let due = self.now.plus_ms(signed(item.due_in_ms)).as_ms();
        let fan_out = matches!(item.id, ItemId::FanOut(_));
        let values = params![WAITING, number, due, item.id.as_bytes(), fan_out, item.epoch_floor.0];
        moves.add(number, signed(self.run("enqueue", enqueue, values)? as u64));
        Ok(())
    }

    fn binding(&self) -> Result<Option<(Binding, Option<Generation>)>> {
        let read = "SELECT store, layout, shards, generation FROM queue_binding";
        self.first("bind", read, [], |row| {
            let store = StoreId::from_bytes(row.get(0)?);
            let generation: Option<i64> = row.get(3)?;
            let binding = Binding { store, layout: row.get(1)?, shards: row.get(2)? };
            Ok((binding, generation.map(|generation| Generation(generation.cast_unsigned()))))
        })
    }

    fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        match self.binding()? {
            Some((bound, generation)) if bound == *binding => Ok(generation),
            Some((bound, _)) => {
                let message = format!("the queue is bound to {}, this is {}", named(&bound), named(binding));
                Err(Error::new(ErrorKind::BoundElsewhere, "bind", message))
            }
            None => {
                let bind = "INSERT INTO queue_binding (one, store, layout, shards) VALUES (1, ?1, ?2, ?3)";
                self.run("bind", bind, params![binding.store.as_bytes(), binding.layout, binding.shards])?;
                Ok(None)
            }
        }
    }

    fn counts(&self) -> Result<Vec<RouteCount>> {
        let entries = "SELECT route, entries FROM queue_counts WHERE entries > 0 ORDER BY route";
        let rows: Vec<(i64, i64)> = self.all("counts", entries, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let count = |(number, entries): (i64, i64)| {
            Ok(RouteCount {
                route: self.routes.route(self.connection, number)?,
                entries: unsigned(entries),
                leased: self.leased_on(number)?,
                oldest_due_ms: self.oldest_due_ms(number)?,
            })
        };
        rows.into_iter().map(count).collect()
    }

    /// A walk over the leases that have not ended, of which there are no more than permits.
    fn leased_on(&self, route: i64) -> Result<u64> {
        let leased = "SELECT count(*) FROM queue WHERE place = ?1 AND route = ?2 AND due_at > ?3";
        let values = params![LEASED, route, self.now.as_ms()];
        Ok(self.first("counts", leased, values, |row| row.get(0))?.map_or(0, unsigned))
    }

    /// A look at the first entry of each place; a lease that has ended waits like the others.
    fn oldest_due_ms(&self, route: i64) -> Result<Option<u64>> {
        let first = "SELECT fell_due_at FROM queue WHERE place = ?1 AND route = ?2 AND due_at <= ?3 \
                     ORDER BY due_at LIMIT 1";
        let mut oldest = None;
        for place in [WAITING, LEASED, SUSPECT] {
            let values = params![place, route, self.now.as_ms()];
            let due: Option<i64> = self.first("counts", first, values, |row| row.get(0))?;
            oldest = oldest.max(due.map(|due| Timestamp::from_ms(due).ms_until(self.now)));
        }
        Ok(oldest)
    }
}

impl Core {
    /// Ends the leases of an earlier boot. The next claim finds them abandoned.
    pub(crate) fn free_leases(&self) -> Result<()> {
        self.with(|tx| {
            tx.run("open", "UPDATE queue SET due_at = ?1 WHERE place = ?2", params![LONG_AGO, LEASED])
                .map(drop)
        })
    }

    /// Does something to each of `items`, then moves the counters once.
    fn each<I, T>(&self, items: &[I], one: impl Fn(&Tx<'_>, &I, &mut Moves) -> Result<T>) -> Result<Vec<T>> {
        self.with(|tx| {
            let mut moves = Moves::default();
            let done: Result<Vec<T>> = items.iter().map(|item| one(tx, item, &mut moves)).collect();
            let done = done?;
            moves.write(tx)?;
            Ok(done)
        })
    }
}

#[async_trait]
impl Queue for Core {
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        self.with(|tx| tx.bind(binding))
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        let open = "UPDATE queue_binding SET generation = ?1";
        self.with(|tx| match tx.run("open_generation", open, [generation.0.cast_signed()])? {
            0 => Err(Error::new(
                ErrorKind::Conflict,
                "open_generation",
                "the queue was wiped since it was bound",
            )),
            _ => Ok(()),
        })
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        self.each(items, |tx, item, moves| tx.enqueue_one(item, moves)).map(drop)
    }

    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        self.with(|tx| tx.claim(claim))
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        self.each(items, |tx, item, moves| tx.settle_one(item, moves))
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        self.each(leases, |tx, lease, _| tx.release_one(lease))
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.each(leases, |tx, lease, _| tx.extend_one(lease, visibility_ms))
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        self.each(ids, |tx, id, moves| tx.remove_one(id, moves))
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        let contains = "SELECT 1 FROM queue WHERE id = ?1";
        self.each(ids, |tx, id, _| Ok(tx.first("contains", contains, [id.as_bytes()], |_| Ok(()))?.is_some()))
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.with(|tx| tx.counts())
    }
}

fn named(binding: &Binding) -> String {
    let Binding { store, layout, shards } = binding;
    format!("store {store}, layout {layout}, {shards} shards")
}
