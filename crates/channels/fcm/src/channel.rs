//! The channel: one attempt is compose → token → send → classify. It decides nothing about retrying; what it repeats
//! by itself was surely not processed (the pool's work), or was refused for an access token that had expired.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::outcome::{CredentialScope, Outcome, Report};
use pabal_core::route::Credential;
use pabal_core::seam::channel::{Channel, Outbound};

use crate::classify::{Answer, classify};
use crate::config::{ConfigError, FcmConfig, ProjectConfig};
use crate::connection::Failure;
use crate::detail::scrubbed;
use crate::dial::Dialer;
use crate::oauth::{Token, Tokens};
use crate::pool::Pool;
use crate::request::compose;
use crate::template::TemplateCache;
use crate::token_request::TokenError;
use crate::wall::Wall;

/// What an unknown credential may have under way: enough for an attempt to say what is wrong.
const UNKNOWN_CAPACITY: usize = 1;
const USER_AGENT: &str = concat!("pabal/", env!("CARGO_PKG_VERSION"));

/// The way out through Firebase Cloud Messaging.
pub struct FcmChannel {
    projects: BTreeMap<Credential, Project>,
    templates: TemplateCache,
}

struct Project {
    send_uri: Uri,
    pool: Pool,
    tokens: Arc<Tokens>,
    wall: Arc<Wall>,
}

impl FcmChannel {
    /// Connects to nothing yet: connections and tokens come with the first message.
    ///
    /// # Errors
    /// If a number is out of its range, or an extra CA is no certificate.
    pub fn new(
        config: &FcmConfig,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let dialer = Arc::new(Dialer::new(config)?);
        let mut projects = BTreeMap::new();
        for (name, project) in &config.projects {
            let wall = Arc::new(Wall::new(Arc::clone(&clock)));
            let tokens = Tokens::new(
                name.to_string(),
                project.service_account.clone(),
                Arc::clone(&dialer),
                Arc::clone(&wall),
                Arc::clone(&chance),
            );
            let pool = Pool::new(project.endpoint(), Arc::clone(&dialer), config);
            let send_uri = send_uri(project)?;
            projects.insert(name.clone(), Project { send_uri, pool, tokens, wall });
        }
        Ok(Self { projects, templates: TemplateCache::default() })
    }
}

fn send_uri(project: &ProjectConfig) -> Result<Uri, ConfigError> {
    let uri = project.endpoint().send_uri(project.service_account.project_id());
    uri.parse()
        .map_err(|error| ConfigError::new("endpoint", format!("makes '{uri}', which is no URL: {error}")))
}

#[async_trait]
impl Channel for FcmChannel {
    async fn send(&self, outbound: &Outbound) -> Report {
        let Some(project) = self.projects.get(&outbound.credential) else {
            return unknown_credential(&outbound.credential);
        };
        let template = self.templates.get(outbound, compose);
        let body = template.fill(&outbound.target, outbound.remaining_ms, project.wall.now());
        project.attempt(outbound, &body).await
    }

    fn capacity(&self, credential: &Credential) -> usize {
        self.projects.get(credential).map_or(UNKNOWN_CAPACITY, |project| project.pool.capacity())
    }
}

impl Project {
    async fn attempt(&self, outbound: &Outbound, body: &Bytes) -> Report {
        let token = match self.tokens.token().await {
            Ok(token) => token,
            Err(error) => return without_token(&error),
        };
        let report = self.send_with(&token, outbound, body).await;
        if !is_refused_token(&report) {
            return report;
        }
        match self.tokens.instead_of(&token).await {
            Ok(token) => self.send_with(&token, outbound, body).await,
            Err(error) => without_token(&error),
        }
    }

    async fn send_with(&self, token: &Token, outbound: &Outbound, body: &Bytes) -> Report {
        let request = || self.request(&token.authorization, body.len());
        match self.pool.send(request, body).await {
            Ok(answer) => self.judge(&answer, outbound),
            Err(Failure::NotProcessed(error)) => {
                Report::of(Outcome::NotSent).with_detail(scrubbed(&error, &outbound.target))
            }
            Err(Failure::Unknown(error)) => {
                Report::of(Outcome::Unknown).with_detail(scrubbed(&error, &outbound.target))
            }
        }
    }

    fn judge(&self, answer: &Answer, outbound: &Outbound) -> Report {
        classify(answer, &outbound.target, self.wall.now())
    }

    fn request(&self, authorization: &HeaderValue, body_len: usize) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.send_uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, authorization.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body_len));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        request
    }
}

/// Whether it is the access token that was refused, as opposed to FCM's own credential for APNs or web push.
fn is_refused_token(report: &Report) -> bool {
    let credential = Outcome::CredentialInvalid { scope: CredentialScope::Credential };
    report.status == Some(401) && report.outcome == credential
}

fn without_token(error: &TokenError) -> Report {
    match error {
        TokenError::Unavailable(detail) => Report::of(Outcome::NotSent).with_detail(detail),
        TokenError::Refused { code, detail } => {
            Report::of(Outcome::CredentialInvalid { scope: CredentialScope::Credential })
                .with_code(code)
                .with_detail(format!("no access token: {detail}"))
        }
    }
}

fn unknown_credential(credential: &Credential) -> Report {
    Report::of(Outcome::CredentialInvalid { scope: CredentialScope::Credential })
        .with_detail(format!("the configuration has no project '{credential}'"))
}
