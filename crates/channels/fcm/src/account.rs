//! A service account: who sends, and the key that proves it, as read from the file that Google's console hands out.
//!
//! People hand in the wrong file more often than a broken one, so each error says what was found.

use std::fmt;

use http::Uri;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{ConfigError, Endpoint};

/// Where Google gives tokens, for a file that does not say.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Who sends.
#[derive(Clone)]
pub struct ServiceAccount {
    project_id: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: SecretString,
    token_uri: Uri,
    /// `token_uri` as it was written: what the token server compares `aud` with.
    audience: String,
}

impl ServiceAccount {
    /// Reads and checks the file's content. The key is tried once, so that a bad one is found now.
    ///
    /// # Errors
    /// Names the field that is missing or wrong, and what was found instead.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let file = object(json)?;
        check_type(&file)?;
        let (token_uri, audience) = token_uri(&file)?;
        let account = Self {
            project_id: project_id(&file)?,
            client_email: required(&file, "client_email")?.to_owned(),
            private_key_id: file.get("private_key_id").and_then(Value::as_str).map(str::to_owned),
            private_key: required(&file, "private_key")?.to_owned().into(),
            token_uri,
            audience,
        };
        account.sign(&Map::new())?;
        Ok(account)
    }

    /// The project's id at Google.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The account's name.
    pub fn client_email(&self) -> &str {
        &self.client_email
    }

    /// Where it gets its access tokens.
    pub fn token_uri(&self) -> &Uri {
        &self.token_uri
    }

    /// Where it gets its access tokens, as the file has it.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// Claims as a JWT signed with the account's key (RS256).
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, ConfigError> {
        let refused = |error| ConfigError::new("private_key", format!("is not an RSA key in PEM: {error}"));
        let key = EncodingKey::from_rsa_pem(self.private_key.expose_secret().as_bytes()).map_err(refused)?;
        let mut header = Header::new(Algorithm::RS256);
        header.kid = self.private_key_id.clone();
        jsonwebtoken::encode(&header, claims, &key).map_err(refused)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({} of {})", self.client_email, self.project_id)
    }
}

fn object(json: &str) -> Result<Map<String, Value>, ConfigError> {
    match serde_json::from_str(json.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(file)) => Ok(file),
        Ok(_) => Err(ConfigError::new("service_account", "is JSON, but no object")),
        // The position alone: the text around it may be the key.
        Err(error) => {
            let at = format!("line {}, column {}", error.line(), error.column());
            Err(ConfigError::new("service_account", format!("is not JSON ({at})")))
        }
    }
}

fn check_type(file: &Map<String, Value>) -> Result<(), ConfigError> {
    let problem = match file.get("type").and_then(Value::as_str) {
        Some("service_account") => return Ok(()),
        Some(other) => format!("is '{other}', not 'service_account'"),
        None if file.contains_key("project_info") => {
            "is missing: this is google-services.json, which belongs into the app; the server needs the key file \
             of a service account"
                .to_owned()
        }
        None if file.contains_key("installed") || file.contains_key("web") => {
            "is missing: this is an OAuth client, not a service account".to_owned()
        }
        None => "is missing: this is not the key file of a service account".to_owned(),
    };
    Err(ConfigError::new("type", problem))
}

fn required<'a>(file: &'a Map<String, Value>, field: &str) -> Result<&'a str, ConfigError> {
    match file.get(field) {
        None => Err(ConfigError::new(field, "is missing")),
        Some(Value::String(text)) if text.trim().is_empty() => Err(ConfigError::new(field, "is empty")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ConfigError::new(field, "is not a text")),
    }
}

/// The project's id. It becomes part of a URL.
fn project_id(file: &Map<String, Value>) -> Result<String, ConfigError> {
    let id = required(file, "project_id")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    if id.chars().all(fits) {
        return Ok(id.to_owned());
    }
    Err(ConfigError::new("project_id", format!("'{id}' holds what no project's id holds")))
}

fn token_uri(file: &Map<String, Value>) -> Result<(Uri, String), ConfigError> {
    let text = match file.get("token_uri") {
        None => GOOGLE_TOKEN_URI,
        Some(_) => required(file, "token_uri")?,
    };
    let uri: Uri = text
        .parse()
        .map_err(|error| ConfigError::new("token_uri", format!("'{text}' is no URL: {error}")))?;
    Endpoint::of_uri(&uri, "token_uri")?;
    Ok((uri, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::RsaKeyPair;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    /// A key made for this run of the tests.
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
    });

    fn file() -> Value {
        json!({
            "type": "service_account", "project_id": "demo", "private_key_id": "abc", "private_key": *KEY,
            "client_email": "sender@demo.iam.gserviceaccount.com", "client_id": "1",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/sender",
            "universe_domain": "googleapis.com",
        })
    }

    fn check(field: &str, value: Option<Value>, expect: &str) {
        let mut file = file();
        match value {
            Some(value) => file[field] = value,
            None => drop(file.as_object_mut().unwrap().remove(field)),
        }
        let error = ServiceAccount::parse(&file.to_string()).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    }

    #[test]
    fn googles_own_file_is_read() {
        let account = ServiceAccount::parse(&format!("\u{feff}{}", file())).unwrap();
        assert_eq!(account.project_id(), "demo");
        assert_eq!(account.token_uri(), "https://oauth2.googleapis.com/token");
        assert_eq!(account.sign(&json!({})).unwrap().split('.').count(), 3);
        let mut without = file();
        without.as_object_mut().unwrap().remove("token_uri");
        let account = ServiceAccount::parse(&without.to_string()).unwrap();
        assert_eq!(account.token_uri(), GOOGLE_TOKEN_URI);
    }

    #[test]
    fn another_file_is_recognised() {
        check("type", None, "type is missing: this is not the key file");
        check("type", Some(json!("authorized_user")), "type is 'authorized_user', not 'service_account'");
        let refusal = |json: &str| ServiceAccount::parse(json).unwrap_err().to_string();
        assert!(refusal(r#"{"project_info":{},"client":[]}"#).contains("google-services.json"));
        assert!(refusal(r#"{"installed":{}}"#).contains("OAuth client"));
        assert_eq!(refusal("[]"), "service_account is JSON, but no object");
        assert_eq!(refusal("{\n  x"), "service_account is not JSON (line 2, column 3)");
        assert!(refusal(&KEY).starts_with("service_account is not JSON"));
    }

    #[test]
    fn each_field_is_checked() {
        for field in ["project_id", "private_key", "client_email"] {
            check(field, None, &format!("{field} is missing"));
            check(field, Some(json!(" ")), &format!("{field} is empty"));
            check(field, Some(json!(1)), &format!("{field} is not a text"));
        }
        check("project_id", Some(json!("a/b")), "project_id 'a/b' holds");
        check(
            "token_uri",
            Some(json!("http://example.com/token")),
            "token_uri 'http://example.com/token' is plain",
        );
        check("token_uri", Some(json!("token")), "token_uri 'token' is no URL");
        check("token_uri", Some(json!(null)), "token_uri is not a text");
    }

    #[test]
    fn a_bad_key_is_found_at_once() {
        check("private_key", Some(json!("secret")), "private_key is not an RSA key in PEM");
        check("private_key", Some(json!(KEY[..800])), "private_key is not an RSA key in PEM");
        let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        check("private_key", Some(json!(other)), "private_key is not an RSA key in PEM");
    }

    #[test]
    fn no_text_shows_the_key() {
        let account = ServiceAccount::parse(&file().to_string()).unwrap();
        assert_eq!(format!("{account:?}"), "ServiceAccount(sender@demo.iam.gserviceaccount.com of demo)");
    }
}
