//! Which store a command works on that needs no server.

use std::path::PathBuf;

use anyhow::Result;

use super::serve::load;
use crate::output::Output;

/// Which store: the one that is named, or else that of the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The URL of the store, as sqlite://pabal.db; without it that of the configuration.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The configuration file.
    #[arg(long, env = "PABAL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// Its URL.
    pub(crate) fn url(&self, output: Output) -> Result<String> {
        match &self.store {
            Some(url) => Ok(url.clone()),
            None => Ok(load(self.config.as_deref(), output)?.store),
        }
    }
}
