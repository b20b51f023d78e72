//! A certificate authority of its own, and a server certificate for Google's names.
//!
//! A client that trusts the authority and maps `fcm.googleapis.com` to the emulator needs no other change.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::IdentityError;
use crate::clock::{Civil, unix_ms};

/// Names the server's certificate is good for.
pub(crate) const SERVED_NAMES: [&str; 6] =
    ["localhost", "127.0.0.1", "::1", "fcm.googleapis.com", "oauth2.googleapis.com", "iid.googleapis.com"];
/// Some clients refuse server certificates that live longer than 398 days.
const LEAF_LIFETIME_S: i64 = 397 * DAY_S;
const DAY_S: i64 = 86_400;

/// The authority: a key and its certificate, both as PEM.
pub(crate) struct Authority {
    pub(crate) key_pem: String,
    pub(crate) certificate_pem: String,
}

/// Without the key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

impl Authority {
    pub(crate) fn generate() -> Result<Authority, IdentityError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params().self_signed(&key)?;
        Ok(Authority { key_pem: key.serialize_pem(), certificate_pem: certificate.pem() })
    }

    /// A TLS server with a fresh certificate of this authority; ALPN h2, then http/1.1.
    pub(crate) fn server_config(&self) -> Result<ServerConfig, IdentityError> {
        let issuer = Issuer::new(authority_params(), KeyPair::from_pem(&self.key_pem)?);
        let key = KeyPair::generate()?;
        let certificate = leaf_params()?.signed_by(&key, &issuer)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The same at every start, so that a kept key still belongs to the kept certificate.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("fcm-emulator local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2056, 1, 1);
    params
}

fn leaf_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(SERVED_NAMES.map(str::to_owned))?;
    params.distinguished_name = name("fcm-emulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let yesterday_s = unix_ms().div_euclid(1_000) - DAY_S;
    let date = |unix_s: i64| {
        let Civil { year, month, day, .. } = Civil::from_unix_s(unix_s);
        date_time_ymd(year, month, day)
    };
    params.not_before = date(yesterday_s);
    params.not_after = date(yesterday_s + LEAF_LIFETIME_S);
    Ok(params)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_authority_goes_on_signing() {
        let authority = Authority::generate().unwrap();
        let config = authority.server_config().unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        let kept = Authority { key_pem: authority.key_pem, certificate_pem: authority.certificate_pem };
        assert!(kept.server_config().is_ok());
    }
}
