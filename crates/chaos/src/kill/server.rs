//! The server as a process of its own: started, killed without warning, and in the end asked to stop.
//!
//! A child is ended by its own id and nothing else is touched; it dies with the harness too, however that ends in order.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::client::{Call, Connection};
use super::stage::Stage;

/// How often to ask whether it is ready, and for how long.
const READY_POLL: Duration = Duration::from_millis(5);
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long it may take to stop when asked: its own deadlines for requests and attempts, and some more.
const STOP_DEADLINE: Duration = Duration::from_secs(40);
/// Bytes of its log that are shown when it fails.
const LOG_TAIL_BYTES: u64 = 4000;

/// The server's program.
#[derive(Debug)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// The one given, else the one beside this program, else one that is built now.
    pub(crate) fn find(given: Option<PathBuf>) -> Result<Program> {
        if let Some(given) = given {
            ensure!(given.is_file(), "{} is no file", given.display());
            return Ok(Program(given));
        }
        let own = std::env::current_exe().context("where this program lies")?;
        let name = format!("pabal{}", std::env::consts::EXE_SUFFIX);
        let beside = own.with_file_name(&name);
        if beside.is_file() {
            return Ok(Program(beside));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        eprintln!("building pabal, for {} is not there", beside.display());
        let built = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "-p", "pabal-cli"])
            .current_dir(&root)
            .stdout(Stdio::null())
            .status()
            .context("cargo can't be run")?;
        ensure!(built.success(), "pabal could not be built");
        let found = [beside, root.join("target/release").join(name)].into_iter().find(|path| path.is_file());
        found.map(Program).context("pabal was built, but not found; name it with --pabal")
    }
}

/// A server that runs. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(program: &Program, stage: &Stage) -> Result<Server> {
        let log = OpenOptions::new().create(true).append(true).open(stage.log())?;
        let mut command = Command::new(&program.0);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PABAL_"))
        {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(stage.config())
            .env("PABAL_API_KEY", stage.api_key())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("can't start {}", program.0.display()))?;
        let mut server = Server { child, log: stage.log() };
        server.ready(stage).await?;
        Ok(server)
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) async fn kill(mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server ended by itself{}", self.last_words());
        self.child.start_kill().context("the server can't be killed")?;
        self.child.wait().await.map(drop).context("the killed server can't be waited for")
    }

    /// SIGTERM: it is to finish what is under way. Answers how it ended.
    pub(crate) async fn stop(mut self) -> Result<ExitStatus> {
        let Some(id) = self.child.id() else { bail!("the server ended by itself{}", self.last_words()) };
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        ensure!(asked.context("kill can't be run")?.success(), "the server could not be asked to stop");
        let ended = timeout(STOP_DEADLINE, self.child.wait()).await;
        Ok(ended.with_context(|| format!("the server did not stop within {STOP_DEADLINE:?}"))??)
    }

    async fn ready(&mut self, stage: &Stage) -> Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server did not start ({status}){}", self.last_words());
            }
            if is_ready(stage).await {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the server is not ready within {READY_DEADLINE:?}");
            sleep(READY_POLL).await;
        }
    }

    fn last_words(&self) -> String {
        match tail(&self.log) {
            Ok(text) if !text.is_empty() => format!("; its log ends with\n{text}"),
            _ => String::new(),
        }
    }
}

async fn is_ready(stage: &Stage) -> bool {
    let call = Call { method: Method::GET, path: "/readyz", key: None, body: None };
    match Connection::open(stage.listen, stage.api_key()).await {
        Ok(mut connection) => connection.call(call).await.is_ok_and(|answer| answer.status == StatusCode::OK),
        Err(_) => false,
    }
}

fn tail(log: &Path) -> Result<String> {
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
