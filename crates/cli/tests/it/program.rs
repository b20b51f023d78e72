//! Runs the binary, alone or as a server over a real emulator.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use fcm_emulator::{Emulator, Options};
use serde_json::Value;
use tempfile::TempDir;

/// The binary, without any of this machine's own settings.
pub(crate) fn pabal(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pabal"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether a variable would change what a run does.
pub(crate) fn is_setting(variable: &str) -> bool {
    variable.starts_with("PABAL_") || variable.to_lowercase().ends_with("_proxy")
}

/// What a run ends with: code, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A folder with a configuration that works, and the emulator that it names.
pub(crate) struct Installation {
    pub(crate) emulator: Emulator,
    pub(crate) folder: TempDir,
}

impl Installation {
    pub(crate) async fn make() -> Installation {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let account = emulator.service_account("demo").to_string();
        std::fs::write(folder.path().join("sa.json"), account).unwrap();
        let installation = Installation { emulator, folder };
        installation.configure("listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'");
        installation
    }

    /// Writes the configuration: these keys, and the project.
    pub(crate) fn configure(&self, keys: &str) {
        let endpoint = self.emulator.base_url();
        let project = format!("[fcm.projects.demo]\nservice_account = 'sa.json'\nendpoint = '{endpoint}'");
        std::fs::write(self.folder.path().join("pabal.toml"), format!("{keys}\n{project}\n")).unwrap();
    }

    pub(crate) fn config(&self) -> String {
        self.folder.path().join("pabal.toml").display().to_string()
    }

    /// Starts a server; it has said where it listens.
    pub(crate) fn serve(&self) -> Served {
        self.serve_by(pabal(&["serve", "--json", "--config", &self.config()]))
    }

    /// The same by another command, whose answers are JSON.
    pub(crate) fn serve_by(&self, mut command: Command) -> Served {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let greeting: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| greeting[key].as_str().unwrap_or_default().to_owned();
        Served { child, url: text("url"), first_key: text("first_key") }
    }
}

/// A server in a process of its own. Killed when dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) first_key: String,
}

impl Served {
    /// A client of this server, with its key.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = pabal(arguments);
        command.env("PABAL_URL", &self.url).env("PABAL_API_KEY", &self.first_key);
        command
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already; either way there is nobody left to wait for.
        self.child.kill().and_then(|()| self.child.wait().map(drop)).unwrap_or_default();
    }
}
