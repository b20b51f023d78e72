//! How jobs reach the core: through the writer thread, which commits in groups, or inline, for the simulator.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use pabal_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use crate::core::Core;

/// Jobs that one commit takes at most.
const JOBS_PER_COMMIT_MAX: usize = 1024;

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
        let done = self.done.unwrap_or_else(|| Err(closed()));
        // The caller may have gone; what was committed stays.
        drop(self.answer.send(done.and_then(|value| committed.map(|()| value))));
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

/// One transaction for a whole batch: each job alone in its savepoint, one commit, then all answers.
pub(crate) fn apply(core: &Core, mut jobs: Vec<Box<dyn Job>>) {
    let committed = core.begin().and_then(|()| {
        jobs.iter_mut().for_each(|job| run(core, &mut **job));
        core.commit()
    });
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
            Err(error) => Err(Error::new(error.kind(), "commit", error.to_string())),
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

fn write(core: &Core, mut waiting: mpsc::UnboundedReceiver<Box<dyn Job>>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < JOBS_PER_COMMIT_MAX {
            match waiting.try_recv() {
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        apply(core, jobs);
    }
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
