//! How a ledger is made of a queue and a store's records: the one place where the order of their steps is written.
//!
//! A backend that is both runs these within one transaction of its own. Over two servers the engine's composite
//! runs them one call at a time; the order is the one that survives a crash between any two:
//!
//! | flow | order | a crash in between |
//! | --- | --- | --- |
//! | accept, page, redrive | record, then enqueue | the reconciler enqueues (idempotent by id) |
//! | claim | lease, then load | the lease ends, another claim follows |
//! | settle | record, then settle the queue | on redelivery it is settled from the record, not sent again |
//! | end | take from the queue, then end in the store | it is open and not queued: the reconciler puts it back |

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::clock::Timestamp;
use crate::delivery::Reason;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AppId, ItemId};
use crate::limits;
use crate::route::Route;
use crate::seam::{
    Acceptance, Accepted, AcceptedItem, Claim, Claimed, DeadFilter, EndSummary, Ending, Generation, Lease,
    Leased, Loaded, Page, PageMade, Paged, Queue, QueueItem, QueueSettle, Records, Redriven, Removed,
    Reopened, Selection, Settle, Settled, SettledItem, Settlement, Taken, Then, Work,
};

/// Accepts, enqueues and leases in one go, for a backend that is queue and store at once.
pub async fn accept<Q, R>(
    queue: &Q,
    records: &R,
    batch: &[Acceptance],
    take: Option<&Claim>,
) -> Result<Accepted>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let (items, work) = accept_records(records, batch).await?;
    enqueue(queue, &work).await?;
    let (taken, waiting) = match take {
        Some(claim) => {
            let (claimed, _) = self::claim(queue, records, claim).await?;
            (claimed.work, claimed.waiting)
        }
        None => (Vec::new(), Vec::new()),
    };
    Ok(Accepted { items, taken, waiting })
}

/// The store's half of an accept: the answers, and what is then to be enqueued.
pub async fn accept_records<R>(
    records: &R,
    batch: &[Acceptance],
) -> Result<(Vec<AcceptedItem>, Vec<QueueItem>)>
where
    R: Records + ?Sized,
{
    let mut items = Vec::with_capacity(batch.len());
    let mut work = Vec::with_capacity(batch.len());
    for (answer, new) in records.accept(batch).await? {
        items.push(AcceptedItem { answer, waiting: waiting(&new) });
        work.extend(new);
    }
    Ok((items, work))
}

/// Enqueues any number of items, in calls of a bounded size.
pub async fn enqueue<Q: Queue + ?Sized>(queue: &Q, work: &[QueueItem]) -> Result<()> {
    for chunk in work.chunks(limits::QUEUE_BATCH_MAX) {
        queue.enqueue(chunk).await?;
    }
    Ok(())
}

/// Leases and loads; settles from the record what is not to be worked on. The generation is the queue's.
pub async fn claim<Q, R>(queue: &Q, records: &R, claim: &Claim) -> Result<(Claimed, Option<Generation>)>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let leased = queue.claim(claim).await?;
    let (generation, leases) = (leased.generation, leased.leases.clone());
    match load(queue, records, leased).await {
        Ok(claimed) => Ok((claimed, generation)),
        Err(error) => {
            // Nobody will work on them: they must not count as abandoned when the store is away for a while. If the
            // queue is away too, they end by themselves.
            drop(queue.release(&leases).await);
            Err(error)
        }
    }
}

async fn load<Q, R>(queue: &Q, records: &R, leased: Leased) -> Result<Claimed>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let loaded = if leased.leases.is_empty() { Vec::new() } else { records.load(&leased.leases).await? };
    expect_one_each("load", leased.leases.len(), loaded.len())?;
    let (mut work, mut settles) = (Vec::with_capacity(loaded.len()), Vec::new());
    let (mut dropped, mut unreadable) = (0, 0);
    for (lease, loaded) in leased.leases.into_iter().zip(loaded) {
        let then = match loaded {
            Loaded::Content(content) => match content.other_route(&lease.route) {
                // It is claimed again on its new route, whose permits, pauses and lane hold for it.
                Some(route) => Then::Retry { in_ms: 0, route },
                None => {
                    work.push(Work { lease, content });
                    continue;
                }
            },
            Loaded::Settled(then) => then,
            Loaded::Unreadable => {
                unreadable += 1;
                Then::Retry { in_ms: limits::UNREADABLE_RETRY_MS, route: lease.route.clone() }
            }
            Loaded::Unknown => {
                dropped += 1;
                Then::Done
            }
        };
        settles.push(QueueSettle { lease, then });
    }
    if !settles.is_empty() {
        queue.settle(&settles).await?;
    }
    Ok(Claimed {
        work,
        next_due_in_ms: leased.next_due_in_ms,
        suspects_waiting: leased.suspects_waiting,
        server_now: leased.server_now,
        dropped,
        unreadable,
        waiting: settles.iter().filter_map(|settle| retry_of(&settle.then)).collect(),
    })
}

/// Records settlements and gives their leases back.
pub async fn settle<Q, R>(queue: &Q, records: &R, batch: &[Settlement]) -> Result<Vec<SettledItem>>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let (taken, settles) = settle_records(records, batch).await?;
    let answers = queue.settle(&settles).await?;
    expect_one_each("settle", settles.len(), answers.len())?;
    Ok(settled(&taken, &settles, &answers))
}

/// The store's half of a settle: what was recorded, and what the queue is then to do.
pub async fn settle_records<R>(records: &R, batch: &[Settlement]) -> Result<(Vec<Taken>, Vec<QueueSettle>)>
where
    R: Records + ?Sized,
{
    let recorded = records.record(batch).await?;
    expect_one_each("record", batch.len(), recorded.len())?;
    let pairs = batch.iter().zip(recorded).map(|(settlement, recorded)| {
        (recorded.taken, QueueSettle { lease: settlement.lease.clone(), then: recorded.then })
    });
    Ok(pairs.unzip())
}

/// What came of settlements, from the answers of both halves.
pub fn settled(taken: &[Taken], settles: &[QueueSettle], answers: &[Settle]) -> Vec<SettledItem> {
    let one = |((taken, settle), answer): ((&Taken, &QueueSettle), &Settle)| SettledItem {
        settled: match (taken, answer) {
            (Taken::Refused, _) => Settled::Refused,
            (_, Settle::Stale) => Settled::Overtaken,
            (Taken::Superseded, Settle::Ok) => Settled::Superseded,
            (Taken::Recorded, Settle::Ok) => Settled::Settled,
        },
        waiting: match answer {
            Settle::Ok => retry_of(&settle.then),
            Settle::Stale => None,
        },
    };
    taken.iter().zip(settles).zip(answers).map(one).collect()
}

/// Makes a page, enqueues its deliveries and, after the last one, settles the lease.
pub async fn page<Q, R>(queue: &Q, records: &R, page: &Page) -> Result<Paged>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    match records.page(&page.lease, &page.from, page.users_max).await? {
        PageMade::Made { work, cursor, last } => {
            enqueue(queue, &work).await?;
            if last {
                give_back(queue, &page.lease, Then::Done).await?;
            }
            Ok(Paged::Made { cursor, last, waiting: waiting(&work) })
        }
        PageMade::Refused(then) => {
            give_back(queue, &page.lease, then).await?;
            Ok(Paged::Refused)
        }
    }
}

async fn give_back<Q: Queue + ?Sized>(queue: &Q, lease: &Lease, then: Then) -> Result<()> {
    queue.settle(&[QueueSettle { lease: lease.clone(), then }]).await.map(drop)
}

/// Ends open work: out of the queue first, then in the store.
pub async fn end<Q, R>(
    queue: &Q,
    records: &R,
    selection: &Selection,
    reason: Reason,
    after: Option<(Timestamp, ItemId)>,
    max: usize,
) -> Result<EndSummary>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let max = max.clamp(1, limits::QUEUE_BATCH_MAX);
    let open = records.open_work(selection, reason, after, max).await?;
    if open.is_empty() {
        return Ok(EndSummary::default());
    }
    let ids: Vec<ItemId> = open.iter().map(|open| open.item.id).collect();
    let removed = queue.remove(&ids).await?;
    expect_one_each("remove", ids.len(), removed.len())?;
    let endings: Vec<Ending> = ids
        .iter()
        .zip(&removed)
        .map(|(id, removed)| Ending { id: *id, leased: *removed == Removed::Leased })
        .collect();
    Ok(EndSummary {
        ended: records.end(&endings, reason).await?,
        in_flight: endings.iter().filter(|ending| ending.leased).count() as u64,
        next: if open.len() < max { None } else { open.last().map(|open| (open.due, open.item.id)) },
    })
}

/// Reopens dead work and enqueues it.
pub async fn redrive<Q, R>(
    queue: &Q,
    records: &R,
    app: AppId,
    filter: &DeadFilter,
    after: Option<ItemId>,
    max: usize,
) -> Result<Redriven>
where
    Q: Queue + ?Sized,
    R: Records + ?Sized,
{
    let reopened = records.reopen(app, filter, after, max.clamp(1, limits::QUEUE_BATCH_MAX)).await?;
    enqueue(queue, &reopened.work).await?;
    Ok(redriven(&reopened))
}

/// What came of a step of redriving.
pub fn redriven(reopened: &Reopened) -> Redriven {
    Redriven {
        reopened: reopened.work.iter().map(|item| item.id).collect(),
        waiting: waiting(&reopened.work),
        next: reopened.next,
    }
}

/// The routes of new work, each with how long until the first of it is due.
pub fn waiting(work: &[QueueItem]) -> Vec<(Route, u64)> {
    let mut soonest = BTreeMap::<&Route, u64>::new();
    for item in work {
        let due_in_ms = soonest.entry(&item.route).or_insert(item.due_in_ms);
        *due_in_ms = item.due_in_ms.min(*due_in_ms);
    }
    soonest.into_iter().map(|(route, due_in_ms)| (route.clone(), due_in_ms)).collect()
}

fn retry_of(then: &Then) -> Option<(Route, u64)> {
    match then {
        Then::Done => None,
        Then::Retry { in_ms, route } => Some((route.clone(), *in_ms)),
    }
}

/// Runs a future that never waits, as a synchronous core's are, to its end.
///
/// # Errors
/// [`Unexpected`](ErrorKind::Unexpected) if it does wait, which is a bug of the caller.
pub fn complete_now<T>(operation: &'static str, future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::new(ErrorKind::Unexpected, operation, "a synchronous core waited")),
    }
}

fn expect_one_each(operation: &'static str, asked: usize, answered: usize) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    let message = format!("{asked} items were asked about and {answered} answered");
    Err(Error::new(ErrorKind::Unexpected, operation, message))
}
