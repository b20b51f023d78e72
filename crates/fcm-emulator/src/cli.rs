//! The command line, as a library type so that another binary can offer the same command.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::emulator::{Emulator, Options, StartError};
use crate::faults::{Faults, FaultsError};
use crate::identity::{IdentityError, write_private};

/// A faithful Firebase Cloud Messaging for laptops and CI.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to listen; loopback only, port 0 for a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9099")]
    pub listen: SocketAddr,
    /// Serve TLS with a certificate for localhost and Google's names.
    #[arg(long)]
    pub tls: bool,
    /// Project id to serve; repeat it for several.
    #[arg(long = "project", value_name = "ID", default_value = "demo")]
    pub projects: Vec<String>,
    /// Write the (first) project's service-account file here.
    #[arg(long, value_name = "FILE")]
    pub service_account_out: Option<PathBuf>,
    /// Write the certificate that clients must trust here.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca_out: Option<PathBuf>,
    /// What goes wrong, as JSON; it can be changed at run time with PUT /emulator/v1/faults.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Seed of chance, so that a run can be replayed.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Keep service accounts and certificate authority here over restarts.
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
}

/// The command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The faults file can't be read.
    #[error("cannot read the faults file {path}", path = path.display())]
    ReadFaults {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The faults file can't be.
    #[error("the faults file {path} is refused", path = path.display())]
    Faults {
        /// Which file.
        path: PathBuf,
        /// The key and what is wrong with it.
        source: FaultsError,
    },
    /// The emulator doesn't start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file asked for can't be written.
    #[error(transparent)]
    Write(#[from] IdentityError),
    /// Standard output or the signals of the system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs the emulator until Ctrl-C or SIGTERM.
///
/// # Errors
///
/// See [`Error`]; its sources say what to change.
pub async fn run(args: Args) -> Result<(), Error> {
    let faults = args.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
    let emulator = Emulator::start(Options {
        listen: args.listen,
        tls: args.tls,
        projects: args.projects.clone(),
        faults,
        seed: args.seed,
        state_dir: args.state_dir.clone(),
        ..Options::default()
    })
    .await?;
    write_files(&args, &emulator)?;
    // Listened for before the greeting: whoever reads that may ask for the stop at once.
    let stop = StopSignal::listen()?;
    std::io::stdout().write_all(greeting(&args, &emulator).as_bytes())?;
    stop.asked().await?;
    emulator.stop().await;
    Ok(())
}

fn read_faults(path: &Path) -> Result<Faults, Error> {
    let json = std::fs::read(path).map_err(|source| Error::ReadFaults { path: path.to_owned(), source })?;
    Faults::from_json(&json).map_err(|source| Error::Faults { path: path.to_owned(), source })
}

fn write_files(args: &Args, emulator: &Emulator) -> Result<(), Error> {
    if let (Some(path), Some(project)) = (&args.service_account_out, emulator.projects().first()) {
        write_private(path, &format!("{:#}\n", emulator.service_account(project)))?;
    }
    if let (Some(path), Some(pem)) = (&args.ca_out, emulator.ca_pem()) {
        write_private(path, pem)?;
    }
    Ok(())
}

fn greeting(args: &Args, emulator: &Emulator) -> String {
    let url = emulator.base_url();
    let mut text = format!("FCM emulator listening on {url}, serving {}\n", emulator.projects().join(", "));
    if let Some(path) = &args.service_account_out {
        text.push_str(&format!("Service account: {}\n", path.display()));
    } else {
        text.push_str("No client can send yet: add --service-account-out sa.json\n");
    }
    let ca = args.ca_out.as_ref().map(|path| format!(" --cacert {}", path.display())).unwrap_or_default();
    text.push_str(&format!("Try this: curl{ca} {url}/emulator/v1/messages/count\n"));
    text.push_str(&format!("Look at the phones: {url}/emulator/\n"));
    text
}

/// Ctrl-C, and SIGTERM where there is one. From the moment it is made they no longer end the process by themselves.
struct StopSignal {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Ends when one of them comes.
    #[cfg(unix)]
    async fn asked(mut self) -> std::io::Result<()> {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Ok(()),
            _ = self.terminate.recv() => Ok(()),
        }
    }

    /// Ends when one of them comes.
    #[cfg(not(unix))]
    async fn asked(self) -> std::io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
