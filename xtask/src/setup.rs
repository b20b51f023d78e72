//! What the tests need of the machine. On Debian what is missing is installed; elsewhere it is named.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::run;

/// Something the machine must be able to do, and the Debian package that brings it.
pub(crate) struct Need {
    is_met: fn() -> bool,
    package: &'static str,
}

/// What builds and cargo's tests call.
const BUILD: &[Need] = &[
    Need { is_met: || is_on_path("cc"), package: "gcc" },
    Need { is_met: || is_on_path("git"), package: "git" },
];

/// Python with virtual environments, which Debian splits off: the module must be tried, its name says nothing.
pub(crate) const PYTHON: &[Need] = &[
    Need { is_met: || is_on_path("python3"), package: "python3" },
    Need { is_met: || runs("python3", &["-Im", "ensurepip", "--version"]), package: "python3-venv" },
];

/// libFuzzer is C++.
pub(crate) const FUZZER: &[Need] = &[Need { is_met: || is_on_path("c++"), package: "g++" }];

/// A browser, and what drives it. Where node came with npm, Debian's npm is not asked for.
pub(crate) const BROWSER: &[Need] = &[
    Need { is_met: || is_on_path("chromium"), package: "chromium" },
    Need { is_met: || is_on_path("node"), package: "nodejs" },
    Need { is_met: || is_on_path("npm"), package: "npm" },
];

/// Letters for pictures, Latin and Korean, so that they look the same wherever they are drawn.
pub(crate) const FONTS: &[Need] = &[
    Need { is_met: || Path::new("/usr/share/doc/fonts-inter").exists(), package: "fonts-inter" },
    Need { is_met: || Path::new("/usr/share/doc/fonts-nanum").exists(), package: "fonts-nanum" },
];

/// Installs the packages that every chore needs and that are missing.
pub(crate) fn packages() -> Result<()> {
    install(BUILD)
}

/// Installs the packages whose needs aren't met.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|need| !(need.is_met)()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        bail!("these are missing, and only Debian's can be installed from here: {}", missing.join(", "));
    }
    println!("installing {}", missing.join(", "));
    run::watched("apt-get", &["update", "-qq"], |_| {})?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    run::watched("apt-get", &arguments, |_| {})
}

/// Whether a program can be started and succeeds.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let ended = run::command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
