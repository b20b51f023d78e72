//! Making connections: look up the name, connect, through a proxy if there is one on the way, and prove the server's
//! name by TLS.
//!
//! The public roots are compiled in (`webpki-roots`), so that a bare container can verify Google; an extra CA adds to
//! them. Nothing is sent before all of this is done, so whatever fails here was surely not sent.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{ConfigError, Endpoint, FcmConfig};
use crate::proxy::ProxyConfig;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// A byte stream to a server, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        }
    }
}

/// Why no connection was made. Cheap to clone: all that waited for the connection get it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DialError(Arc<str>);

impl DialError {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }
}

/// Makes connections.
pub(crate) struct Dialer {
    http1: TlsConnector,
    http2: TlsConnector,
    proxy: Option<ProxyConfig>,
    resolve: BTreeMap<String, SocketAddr>,
    connect_timeout: Duration,
}

impl Dialer {
    /// # Errors
    /// If an extra CA is no certificate.
    pub(crate) fn new(config: &FcmConfig) -> Result<Self, ConfigError> {
        let roots = roots(&config.extra_ca)?;
        Ok(Self {
            http1: connector(&roots, Protocol::Http1)?,
            http2: connector(&roots, Protocol::Http2)?,
            proxy: config.proxy.clone(),
            resolve: config.resolve.clone(),
            connect_timeout: config.connect_timeout,
        })
    }

    /// How long each step of making a connection may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A connection that is ready to be spoken on.
    pub(crate) async fn dial(&self, to: &Endpoint, protocol: Protocol) -> Result<Box<dyn Wire>, DialError> {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.serves(to));
        let through = proxy.map(|proxy| format!(" through proxy {proxy}")).unwrap_or_default();
        match timeout(self.connect_timeout, self.connect(to, proxy, protocol)).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(DialError::new(format!("no connection to {to}{through}: {error}"))),
            Err(_) => {
                let ms = self.connect_timeout.as_millis();
                Err(DialError::new(format!("no connection to {to}{through}: none within {ms} ms")))
            }
        }
    }

    async fn connect(
        &self,
        to: &Endpoint,
        proxy: Option<&ProxyConfig>,
        protocol: Protocol,
    ) -> io::Result<Box<dyn Wire>> {
        let tcp = match proxy {
            None => self.connect_tcp(&to.host, to.port).await?,
            Some(proxy) => {
                let mut tcp = self.connect_tcp(proxy.host(), proxy.port()).await?;
                proxy.tunnel(&mut tcp, to).await?;
                tcp
            }
        };
        tcp.set_nodelay(true)?;
        if !to.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(to.host.clone()).map_err(io::Error::other)?;
        let connector = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let tls = connector.connect(name, tcp).await?;
        if protocol == Protocol::Http2 && tls.get_ref().1.alpn_protocol() != Some(protocol.alpn()) {
            return Err(io::Error::other("the server does not speak HTTP/2"));
        }
        Ok(Box::new(tls))
    }

    /// The first address that answers. Each gets its share of the time, so that one that swallows everything does
    /// not use it all up.
    async fn connect_tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses = self.addresses(host, port).await?;
        let share = self.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} is silent")),
            }
        }
        Err(last)
    }

    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.resolve.get(host) {
            return Ok(vec![*address]);
        }
        let found = tokio::net::lookup_host((host, port)).await?;
        Ok(found.take(ADDRESSES_MAX).collect())
    }
}

fn roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for (index, certificate) in extra.iter().enumerate() {
        let refused = |error| {
            ConfigError::new("extra_ca", format!("holds no certificate at position {index}: {error}"))
        };
        roots.add(certificate.clone()).map_err(refused)?;
    }
    Ok(roots)
}

fn connector(roots: &RootCertStore, protocol: Protocol) -> Result<TlsConnector, ConfigError> {
    // Named, not the process's default: this crate must not depend on who installs one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("tls", format!("has no protocol version in common: {error}")))?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_ca_adds_to_the_public_roots() {
        assert_eq!(roots(&[]).unwrap().len(), webpki_roots::TLS_SERVER_ROOTS.len());
        assert!(roots(&[]).unwrap().len() > 100);
        let error = roots(&[CertificateDer::from(vec![1, 2, 3])]).unwrap_err();
        assert!(error.to_string().starts_with("extra_ca holds no certificate at position 0"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_named() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let dialer = Dialer::new(&FcmConfig::default()).unwrap();
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let error = dialer.dial(&endpoint, Protocol::Http2).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("no connection to http://{address}: ")), "{error}");
    }
}
