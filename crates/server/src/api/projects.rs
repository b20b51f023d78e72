//! The FCM projects that a request may name, and the one that it means when it names none.

use std::collections::BTreeSet;

use pabal_core::route::Credential;

use super::problem::Problem;
use crate::config::FcmSection;

/// The projects that are configured.
#[derive(Debug)]
pub(crate) struct Projects {
    known: BTreeSet<Credential>,
    by_default: Option<Credential>,
}

impl Projects {
    pub(crate) fn new(fcm: &FcmSection) -> Self {
        Self { known: fcm.projects.keys().cloned().collect(), by_default: fcm.project_by_default().cloned() }
    }

    /// The project that a request means.
    pub(super) fn resolve(&self, named: Option<Credential>) -> Result<Credential, Problem> {
        match named {
            Some(name) if self.known.contains(&name) => Ok(name),
            Some(_) => Err(Problem::value("project", "is not configured on this server")),
            None => self.by_default.clone().ok_or_else(|| {
                Problem::value("project", "is missing: this server has several and no fcm.default_project")
            }),
        }
    }
}
