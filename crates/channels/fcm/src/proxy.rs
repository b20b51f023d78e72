//! An HTTP proxy on the way out: whom it serves, and how a tunnel through it is asked for (CONNECT: RFC 9110,
//! section 9.3.6).
//!
//! The proxy learns a host name and a port; tokens and messages pass it inside TLS. What it refuses was surely not
//! sent. Its answer's text is never repeated, its status is: the text is anybody's, and the timeline is ours.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::uri::Authority;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::{ConfigError, Endpoint};
use crate::no_proxy::NoProxy;

/// Bytes of a proxy's answer that are read before it is given up: its head, with room for talkative ones.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// An HTTP proxy: where it is, who we are to it, and what goes past it.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<SecretString>,
    except: NoProxy,
}

impl ProxyConfig {
    /// What goes past it, besides what is on this machine, which always does.
    #[must_use]
    pub fn with_exceptions(mut self, except: NoProxy) -> Self {
        self.except = except;
        self
    }

    /// Whether connections to `to` go through it. Nothing on this machine does: no proxy elsewhere could reach it.
    pub(crate) fn serves(&self, to: &Endpoint) -> bool {
        !to.is_loopback() && !self.except.holds(&to.host, to.port)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Has the proxy connect this stream to `to`.
    pub(crate) async fn tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        to: &Endpoint,
    ) -> io::Result<()> {
        stream.write_all(self.request(&to.authority()).as_bytes()).await?;
        let (head, rest) = read_head(stream).await?;
        match status_of(&head) {
            Some(status) if status.is_success() && rest == 0 => Ok(()),
            Some(status) if status.is_success() => Err(io::Error::other("it speaks before the server does")),
            Some(status) => Err(io::Error::other(refusal(status))),
            None => Err(io::Error::other("it does not answer as an HTTP proxy does")),
        }
    }

    fn request(&self, authority: &str) -> String {
        let authorization = match &self.authorization {
            Some(value) => format!("Proxy-Authorization: {}\r\n", value.expose_secret()),
            None => String::new(),
        };
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n")
    }
}

/// What a status other than success means for whoever has to mend it.
fn refusal(status: StatusCode) -> String {
    let hint = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => ": it wants another user and password",
        StatusCode::FORBIDDEN => ": it does not let us there",
        _ => "",
    };
    format!("it refuses with {status}{hint}")
}

/// The head of an answer, and how many bytes came after it.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, usize)> {
    let mut read = Vec::new();
    while read.len() < HEAD_BYTES_MAX {
        let seen = read.len().saturating_sub(HEAD_END.len() - 1);
        let mut next = (&mut *stream).take((HEAD_BYTES_MAX - read.len()) as u64);
        if next.read_buf(&mut read).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up without an answer"));
        }
        let end = read[seen..].windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END);
        if let Some(end) = end {
            let rest = read.len() - (seen + end + HEAD_END.len());
            return Ok((read, rest));
        }
    }
    Err(io::Error::other(format!("its answer's head is longer than {HEAD_BYTES_MAX} bytes")))
}

/// The status in `HTTP/1.1 200 Connection established`.
pub(crate) fn status_of(head: &[u8]) -> Option<StatusCode> {
    let after_version = head.strip_prefix(b"HTTP/1.")?.split(|byte| *byte == b' ').nth(1)?;
    StatusCode::from_bytes(after_version.get(..3)?).ok()
}

impl FromStr for ProxyConfig {
    type Err = ConfigError;

    /// Reads `http://[user:password@]host:port`. An error never quotes the URL, which may hold a password.
    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let refuse = |problem: &str| Err(ConfigError::new("proxy", problem));
        let (scheme, rest) = url.trim().split_once("://").unwrap_or(("http", url.trim()));
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => {
                return refuse(
                    "is an https:// proxy, which can't be used: name one that is spoken to by http://; what passes it \
                     is encrypted all the same",
                );
            }
            _ => return refuse("is no http:// proxy, and there is no other kind here"),
        }
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let Ok(place) = place.trim_end_matches('/').parse::<Authority>() else {
            return refuse("is no URL; write http://host:port or http://user:password@host:port");
        };
        let (host, Some(port)) = (place.host(), place.port_u16()) else {
            return refuse("names no port; write http://host:port");
        };
        let authorization = login.map(basic).transpose()?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, authorization, except: NoProxy::default() })
    }
}

/// The value of `Proxy-Authorization` (RFC 7617) for `user:password` as a URL has it.
fn basic(login: &str) -> Result<SecretString, ConfigError> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = percent_decoded(user).zip(percent_decoded(password));
    let Some((mut user_and_password, password)) = decoded else {
        let problem = "has a '%' in its user or password that begins no escape; a '%' itself is written %25";
        return Err(ConfigError::new("proxy", problem));
    };
    user_and_password.push(b':');
    user_and_password.extend(password);
    Ok(SecretString::from(format!("Basic {}", BASE64_STANDARD.encode(user_and_password))))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

/// Where it is; of who we are to it, only that we are somebody.
impl fmt::Display for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let somebody = if self.authorization.is_some() { "…@" } else { "" };
        if self.host.contains(':') {
            write!(f, "http://{somebody}[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{somebody}{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests;
