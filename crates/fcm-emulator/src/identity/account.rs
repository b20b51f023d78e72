//! A service account: an RSA key and a name, in the file format that Google's console hands out.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::IdentityError;
use crate::limits::MAX_PROJECT_CHARS;

/// Google's own token endpoint, for clients that reach the emulator under Google's names.
pub(crate) const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// One project and the service account that may send for it.
pub(crate) struct Account {
    pub(crate) project_id: String,
    /// FCM takes a project's number wherever it takes its id.
    pub(crate) project_number: u64,
    pub(crate) client_email: String,
    private_key_id: String,
    key: RsaKeyPair,
    key_pem: String,
}

/// Without the key.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("client_email", &self.client_email).finish_non_exhaustive()
    }
}

impl Account {
    /// A new account with a new key. Takes tens of milliseconds or more: not for an async task.
    pub(crate) fn generate(project_id: &str) -> Result<Account, IdentityError> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| IdentityError::KeyGeneration)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| IdentityError::KeyGeneration)?;
        let key_pem = pem("PRIVATE KEY", der.as_ref());
        Account::new(project_id, key, key_pem)
    }

    /// The account of a service-account file that [`Account::to_json`] wrote; or what is wrong with it.
    pub(crate) fn from_json(project_id: &str, file: &Value) -> Result<Account, String> {
        let pem = file["private_key"].as_str().ok_or("`private_key` is missing")?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("`private_key` is not PEM: {error}"))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|error| format!("`private_key` is not an RSA key: {error}"))?;
        if file["project_id"] != project_id {
            return Err(format!("`project_id` is not `{project_id}`"));
        }
        Account::new(project_id, key, pem.to_owned()).map_err(|error| error.to_string())
    }

    fn new(project_id: &str, key: RsaKeyPair, key_pem: String) -> Result<Account, IdentityError> {
        if !is_project_id(project_id) {
            return Err(IdentityError::ProjectId(project_id.to_owned()));
        }
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            key.public_key().as_ref(),
        );
        Ok(Account {
            project_id: project_id.to_owned(),
            project_number: project_number(project_id),
            client_email: format!("fcm-emulator@{project_id}.iam.gserviceaccount.com"),
            private_key_id: hex(digest.as_ref()),
            key,
            key_pem,
        })
    }

    /// The service-account file.
    pub(crate) fn to_json(&self, token_uri: &str) -> Value {
        let email = self.client_email.replace('@', "%40");
        json!({
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": self.private_key_id,
            "private_key": self.key_pem,
            "client_email": self.client_email,
            "client_id": format!("1{:020}", self.project_number),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": format!("https://www.googleapis.com/robot/v1/metadata/x509/{email}"),
            "universe_domain": "googleapis.com",
        })
    }

    /// RS256.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let rng = aws_lc_rs::rand::SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).ok()?;
        Some(signature)
    }

    /// Whether an RS256 signature is this account's.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref())
            .verify(message, signature)
            .is_ok()
    }
}

/// Looser than Google's own rule (6 to 30 lower-case letters, digits and hyphens), so that `demo` will do; strict
/// enough for a file name.
fn is_project_id(id: &str) -> bool {
    (1..=MAX_PROJECT_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Twelve digits, as Google's have, always the same for an id.
fn project_number(id: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes());
    let number = digest.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    100_000_000_000 + number % 900_000_000_000
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 7468: base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    const LINE_CHARS: usize = 64;
    let base64 = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_the_same_account() {
        let account = Account::generate("demo").unwrap();
        let file = account.to_json(GOOGLE_TOKEN_URI);
        let again = Account::from_json("demo", &file).unwrap();
        assert_eq!(again.to_json(GOOGLE_TOKEN_URI), file);
        let signature = again.sign(b"message").unwrap();
        assert!(account.verifies(b"message", &signature));
        assert!(!account.verifies(b"another", &signature));
        assert!(Account::from_json("other", &file).is_err());
        assert!(Account::from_json("demo", &json!({})).is_err());
    }

    #[test]
    fn project_ids() {
        assert!(is_project_id("demo"));
        assert!(is_project_id(&"a".repeat(MAX_PROJECT_CHARS)));
        for bad in ["", "a/b", "..", &"a".repeat(MAX_PROJECT_CHARS + 1)] {
            assert!(!is_project_id(bad), "{bad}");
        }
        assert_eq!(project_number("demo").to_string().len(), 12);
    }
}
