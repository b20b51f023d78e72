//! What the tests need of the machine. On Debian what is missing is installed; elsewhere it is named.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run;

/// Programs that builds and tests call, each with the Debian package that brings it.
const PROGRAMS: [(&str, &str); 2] = [("cc", "gcc"), ("git", "git")];

/// Installs the packages that are missing.
pub(crate) fn packages() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect();
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

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
