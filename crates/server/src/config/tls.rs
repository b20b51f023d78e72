//! TLS for the API.

use std::path::PathBuf;

use serde::Deserialize;

use crate::shape::Misfit;

/// TLS for the API: both files, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// PEM file of the certificate and what it is signed by, the own one first.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key, without a password.
    pub key: Option<PathBuf>,
}

impl TlsSection {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(Misfit::value("tls.key", "is missing beside tls.certificate")),
            (None, Some(_)) => Err(Misfit::value("tls.certificate", "is missing beside tls.key")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_alone_is_refused() {
        let tls = |certificate: Option<&str>, key: Option<&str>| TlsSection {
            certificate: certificate.map(PathBuf::from),
            key: key.map(PathBuf::from),
        };
        assert_eq!(tls(None, None).check(), Ok(()));
        assert_eq!(tls(Some("c"), Some("k")).check(), Ok(()));
        assert_eq!(tls(Some("c"), None).check().unwrap_err().path, "tls.key");
        assert_eq!(tls(None, Some("k")).check().unwrap_err().path, "tls.certificate");
    }
}
