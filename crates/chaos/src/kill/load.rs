//! The load: a team's backend that sends at a steady pace and, whatever happens to the server, repeats each request with
//! its key until it is answered.
//!
//! The pace goes on while the server lives and halts while it is down, so that every round has work. What is answered
//! goes into the book.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use pabal_core::ids::NotificationId;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::client::{Answer, Call, Client};
use super::judge::Entry;
use super::plan::Plan;
use super::stage::Stage;

/// Connections that send at once.
const SENDERS: usize = 32;
/// How often the pace lets requests go.
const TICK: Duration = Duration::from_millis(5);
/// How long the last requests may take to be answered.
const ANSWERS_DEADLINE: Duration = Duration::from_secs(120);

/// The backend at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: JoinSet<Result<()>>,
    /// How long everything takes at its pace.
    lasts: Duration,
    released: usize,
}

struct Shared {
    plan: Arc<Plan>,
    pace: Semaphore,
    next: AtomicUsize,
    replays: AtomicU64,
    answered: Mutex<Vec<Answered>>,
}

/// A request that was answered 202.
struct Answered {
    number: usize,
    id: NotificationId,
    promised: Option<u64>,
}

impl Load {
    /// Connects; nothing is sent yet.
    pub(crate) fn start(stage: &Stage, plan: Arc<Plan>, lasts: Duration) -> Load {
        let shared = Arc::new(Shared {
            plan,
            pace: Semaphore::new(0),
            next: AtomicUsize::new(0),
            replays: AtomicU64::new(0),
            answered: Mutex::default(),
        });
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(send(Arc::clone(&shared), Client::new(stage.listen, stage.api_key())));
        }
        Load { shared, senders, lasts, released: 0 }
    }

    /// Lets requests go at the pace, for so long.
    pub(crate) async fn release_for(&mut self, time: Duration) -> Result<()> {
        let (began, before, all) = (Instant::now(), self.released, self.shared.plan.len());
        loop {
            let elapsed = began.elapsed().min(time);
            let share = elapsed.as_micros() * all as u128 / self.lasts.as_micros().max(1);
            let due = (before + usize::try_from(share)?).min(all);
            self.shared.pace.add_permits(due - self.released);
            self.released = due;
            if let Some(ended) = self.senders.try_join_next() {
                ended??;
            }
            if elapsed == time {
                return Ok(());
            }
            sleep(TICK).await;
        }
    }

    /// Lets the rest go at the pace, waits until everything is answered, and answers the book.
    pub(crate) async fn finish(mut self) -> Result<Vec<Entry>> {
        let all = self.shared.plan.len();
        let rest = self.lasts.mul_f64((all - self.released) as f64 / all.max(1) as f64);
        self.release_for(rest).await?;
        // What the rounding left over, and for each sender a permit to find nothing left.
        self.shared.pace.add_permits(all - self.released + SENDERS);
        let answered = async {
            while let Some(ended) = self.senders.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        timeout(ANSWERS_DEADLINE, answered).await.context("requests are still not answered")??;
        let answered = std::mem::take(&mut *self.shared.lock());
        ensure!(answered.len() == all, "{} of {all} requests were answered", answered.len());
        let entry = |Answered { number, id, promised }| Entry {
            id,
            promised,
            expected: self.shared.plan.expected(number),
        };
        Ok(answered.into_iter().map(entry).collect())
    }

    /// How many requests were answered 202, and how many of those as a repeat.
    pub(crate) fn answered(&self) -> (usize, u64) {
        (self.shared.lock().len(), self.shared.replays.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Answered>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sender: the next request, until there is none.
async fn send(shared: Arc<Shared>, mut client: Client) -> Result<()> {
    loop {
        shared.pace.acquire().await?.forget();
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.plan.len() {
            return Ok(());
        }
        let (key, body) = shared.plan.request(number);
        let call =
            Call { method: Method::POST, path: "/v1/notifications", key: Some(&key), body: Some(body) };
        let answer = client.call_until_answered(call).await;
        shared.replays.fetch_add(u64::from(answer.replayed), Ordering::Relaxed);
        let answered = accepted(number, &answer)?;
        shared.lock().push(answered);
    }
}

fn accepted(number: usize, answer: &Answer) -> Result<Answered> {
    if answer.status != StatusCode::ACCEPTED {
        bail!("notification {number} was answered {}: {}", answer.status, answer.body);
    }
    let id = answer.body["id"].as_str().context("a 202 without an id")?.parse()?;
    Ok(Answered { number, id, promised: answer.body["deliveries"].as_u64() })
}

/// Registers everybody's devices. Answers how many there are.
pub(crate) async fn register(stage: &Stage, plan: &Arc<Plan>) -> Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..SENDERS {
        let (plan, next) = (Arc::clone(plan), Arc::clone(&next));
        let mut client = Client::new(stage.listen, stage.api_key());
        tasks.spawn(async move {
            let mut registered = 0;
            while let Some(person) = plan.people.all.get(next.fetch_add(1, Ordering::Relaxed)) {
                for device in &person.devices {
                    let path = format!("/v1/users/{}/devices/{}", person.user, device.name);
                    let token = &*device.target.token;
                    let body = json!({ "channel": "fcm", "platform": device.platform, "token": token });
                    let body = Some(body.to_string().into());
                    let call = Call { method: Method::PUT, path: &path, key: None, body };
                    let answer = client.call_until_answered(call).await;
                    ensure!(
                        answer.status.is_success(),
                        "{path} was answered {}: {}",
                        answer.status,
                        answer.body
                    );
                    registered += 1;
                }
            }
            Ok(registered)
        });
    }
    let mut all = 0;
    while let Some(registered) = tasks.join_next().await {
        all += registered??;
    }
    Ok(all)
}
