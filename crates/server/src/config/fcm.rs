//! Firebase projects.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pabal_core::route::Credential;
use serde::Deserialize;

use super::proxy::ProxySetting;
use crate::shape::Misfit;

/// Firebase projects.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FcmSection {
    /// The project that a request means when it names none; with one project, that one.
    pub default_project: Option<Credential>,
    /// PEM file of an authority to be trusted besides the public ones.
    pub extra_ca: Option<PathBuf>,
    /// The proxy on the way to Google; once loaded, with what the environment has to say.
    pub proxy: Option<ProxySetting>,
    /// The projects, by the names that requests use.
    pub projects: BTreeMap<Credential, ProjectSection>,
}

/// One Firebase project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSection {
    /// Its service account's key file, as Google's console hands it out.
    pub service_account: PathBuf,
    /// Where to send instead of Google's own address. Plain http on loopback only.
    pub endpoint: Option<String>,
}

impl FcmSection {
    /// The project that a request means when it names none.
    pub fn project_by_default(&self) -> Option<&Credential> {
        match (&self.default_project, self.projects.len()) {
            (Some(name), _) => Some(name),
            (None, 1) => self.projects.keys().next(),
            (None, _) => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        match &self.default_project {
            Some(name) if !self.projects.contains_key(name) => {
                Err(Misfit::value("fcm.default_project", format!("there is no [fcm.projects.{name}]")))
            }
            _ => Ok(()),
        }
    }
}
