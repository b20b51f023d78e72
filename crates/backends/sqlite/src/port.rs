//! How jobs reach the core: through the writer thread, which commits in groups, or inline, for the simulator.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pabal_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use crate::core::Core;

/// Jobs that one commit takes at most.
const JOBS_PER_COMMIT_MAX: usize = 1024;
/// How long the jobs of one commit may run before those that still wait are left for the next: nobody waits much longer
/// for an answer than their own job takes.
const COMMIT_RUN_MAX: Duration = Duration::from_millis(50);

/// A piece of work on the core. It answers after the commit, and only then.
pub(crate) trait Job: Send {
    /// Does the work.
    fn run(&mut self, core: &Core) -> Result<()>;
    /// The work was undone.
    fn fail(&mut self, error: Error);
    /// Answers. `committed` says whether what was done is durable.
    fn finish(self: Box<Self>, committed: Result<()>);
}

struct Call<T, F> {
    work: Option<F>,
    done: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Core) -> Result<T> + Send> Job for Call<T, F> {
    fn run(&mut self, core: &Core) -> Result<()> {
        if let Some(work) = self.work.take() {
            self.done = Some(Ok(work(core)?));
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        self.done = Some(Err(error));
    }

    fn finish(self: Box<Self>, committed: Result<()>) {
        let answer = match (self.done, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (Some(Ok(_)) | None, Err(error)) => Err(error),
            (None, Ok(())) => Err(closed()),
        };
        // The caller may have gone; what was committed stays.
        drop(self.answer.send(answer));
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "write", "the database is closed")
}

/// The way to the core.
#[async_trait]
pub(crate) trait Port: Send + Sync {
    /// Runs a job, or lets it be run with others, and answers it after its commit.
    async fn submit(&self, job: Box<dyn Job>);
}

/// Runs `work` on the core and waits for its commit.
pub(crate) async fn call<T, F>(port: &dyn Port, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Core) -> Result<T> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    port.submit(Box::new(Call { work: Some(work), done: None, answer })).await;
    answered.await.unwrap_or_else(|_| Err(closed()))
}

/// One transaction for what waits: each job alone in its savepoint, one commit, the log emptied if one asked for it, then
/// all answers. What does not begin within `run_max` is left waiting.
fn apply(core: &Core, first: Box<dyn Job>, waiting: &mut Waiting, run_max: Duration) {
    let mut jobs = vec![first];
    let begun = core.begin();
    let others = waiting.len().min(JOBS_PER_COMMIT_MAX - jobs.len());
    let mut others = std::iter::from_fn(|| waiting.try_recv().ok()).take(others);
    if begun.is_err() {
        // They would meet the same, one after the other.
        jobs.extend(others);
        return finish(jobs, &begun);
    }
    let began = Instant::now();
    run(core, &mut *jobs[0]);
    while began.elapsed() < run_max
        && let Some(mut job) = others.next()
    {
        run(core, &mut *job);
        jobs.push(job);
    }
    let committed = core.commit();
    core.empty_log_if_asked();
    finish(jobs, &committed);
}

fn run(core: &Core, job: &mut dyn Job) {
    if let Err(error) = core.run(|core| job.run(core)) {
        job.fail(error);
    }
}

fn finish(jobs: Vec<Box<dyn Job>>, committed: &Result<()>) {
    for job in jobs {
        job.finish(match committed {
            Ok(()) => Ok(()),
            Err(error) => Err(Error::new(error.kind(), "write", error.to_string())),
        });
    }
}

/// The writer thread. No linger: a commit starts when something waits; what arrives meanwhile is the next batch.
pub(crate) struct WriterThread {
    jobs: Option<mpsc::UnboundedSender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriterThread {
    /// Starts the thread.
    pub(crate) fn start(core: Arc<Core>) -> Result<Self> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let thread =
            std::thread::Builder::new().name("pabal-sqlite".into()).spawn(move || write(&core, waiting));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "open", "the writer thread could not be started")
                .with_source(error)
        })?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }
}

/// Jobs on their way to the writer thread.
type Waiting = mpsc::UnboundedReceiver<Box<dyn Job>>;

fn write(core: &Core, mut waiting: Waiting) {
    while let Some(first) = waiting.blocking_recv() {
        apply(core, first, &mut waiting, COMMIT_RUN_MAX);
    }
    core.close();
}

#[async_trait]
impl Port for WriterThread {
    async fn submit(&self, job: Box<dyn Job>) {
        let refused = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.finish(Err(closed()));
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread had panicked");
        }
    }
}

/// What a simulated world does around a commit.
pub trait CommitHook: Send + Sync {
    /// Called with the work done and not yet committed.
    fn before_commit(&self) -> Fate;
    /// Called with the work committed and not yet answered. [`Fate::Fail`] makes no sense here and goes on.
    fn after_commit(&self) -> Fate;
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    GoOn,
    /// It fails, as with a full disk: rolled back, and answered with an error.
    Fail,
    /// The process dies: before the commit nothing of it is kept, after it everything; nobody is answered.
    Die,
}

/// Each job its own transaction, on the caller's own task.
pub(crate) struct Inline {
    pub(crate) core: Arc<Core>,
    pub(crate) hook: Arc<dyn CommitHook>,
}

#[async_trait]
impl Port for Inline {
    async fn submit(&self, job: Box<dyn Job>) {
        let mut jobs = vec![job];
        let begun = self.core.begin();
        if begun.is_err() {
            return finish(jobs, &begun);
        }
        run(&self.core, &mut *jobs[0]);
        let committed = match self.hook.before_commit() {
            Fate::GoOn => self.core.commit(),
            Fate::Fail => {
                self.core.rollback();
                Err(Error::new(ErrorKind::Full, "commit", "the simulated disk is full"))
            }
            Fate::Die => {
                self.core.rollback();
                return std::future::pending().await;
            }
        };
        if committed.is_ok() && self.hook.after_commit() == Fate::Die {
            return std::future::pending().await;
        }
        finish(jobs, &committed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pabal_testkit::TestClock;
    use rusqlite::Connection;

    use super::*;

    type Answers = Vec<oneshot::Receiver<Result<i64>>>;

    /// The writer's side of a database, with calls that wait for it.
    fn with_calls(connection: Connection, count: i64) -> (Core, Waiting, Answers) {
        let (jobs, waiting) = mpsc::unbounded_channel::<Box<dyn Job>>();
        let send = |n| {
            let work = move |core: &Core| {
                core.with(|tx| tx.run("test", "INSERT INTO kept VALUES (?1)", [n])).map(|_| n)
            };
            let (answer, answered) = oneshot::channel();
            assert!(jobs.send(Box::new(Call { work: Some(work), done: None, answer })).is_ok());
            answered
        };
        let answers = (0..count).map(send).collect();
        (Core::new(connection, Arc::new(TestClock::new())), waiting, answers)
    }

    fn counting_commits(connection: &mut Connection) -> Arc<AtomicUsize> {
        let commits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&commits);
        let count = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            false
        };
        connection.commit_hook(Some(count)).unwrap();
        commits
    }

    fn commits_within(run_max: Duration, calls: i64) -> usize {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE kept (n INTEGER)").unwrap();
        let commits = counting_commits(&mut connection);
        let (core, mut waiting, answers) = with_calls(connection, calls);
        while let Ok(first) = waiting.try_recv() {
            apply(&core, first, &mut waiting, run_max);
        }
        for (n, mut answer) in (0..).zip(answers) {
            assert_eq!(answer.try_recv().unwrap().unwrap(), n);
        }
        commits.load(Ordering::SeqCst)
    }

    #[test]
    fn a_commit_is_bounded_by_jobs_and_by_time() {
        assert_eq!(commits_within(Duration::MAX, 20), 1);
        assert_eq!(commits_within(Duration::MAX, 1025), 2);
        assert_eq!(commits_within(Duration::ZERO, 20), 20, "what has no time left waits for the next");
    }

    #[test]
    fn what_never_began_is_answered_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pabal.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE kept (n INTEGER); BEGIN IMMEDIATE").unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        let (core, mut waiting, mut answers) = with_calls(connection, 4);
        let first = waiting.try_recv().unwrap();
        apply(&core, first, &mut waiting, Duration::MAX);
        for answer in &mut answers {
            let error = answer.try_recv().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Locked, true), "{error}");
        }
        assert!(waiting.try_recv().is_err(), "nobody waits for the same again");
    }

    #[test]
    fn a_damaged_file_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pabal.db");
        std::fs::write(&path, "no database ".repeat(1000)).unwrap();
        let (core, mut waiting, mut answers) = with_calls(Connection::open(&path).unwrap(), 1);
        let first = waiting.try_recv().unwrap();
        apply(&core, first, &mut waiting, Duration::MAX);
        let error = answers[0].try_recv().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Corrupt, false), "{error}");
    }
}
