//! The built-in HTTP service. The only file that names the HTTP client.

use std::{
    error::Error as StdError,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect;
use url::{Host, Url};

use super::{
    BROKE_OFF, TOO_LONG, proxy,
    service::{HttpBody, HttpService},
    settings::TransportSettings,
};
use crate::{
    error::{Error, Result, TransportError, TransportErrorKind},
    trusted_url::is_loopback,
};

/// The bytes that may wait unread on a connection of HTTP/2 (RFC 9113 section 6.9): the maximum, for each stream has
/// a window of its own. A stream that isn't polled must hold up no other on the same connection.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

#[derive(Debug)]
pub(super) struct Builtin {
    /// For hosts other than loopback, if there is such an origin.
    remote: Option<reqwest::Client>,
    /// For loopback hosts, which the system's proxy must not see the token of.
    local: Option<reqwest::Client>,
    has_proxy: bool,
    /// The system's proxies, to say of a failure that it is one of theirs.
    system: Matcher,
}

impl Builtin {
    /// A service for requests to these origins.
    pub(super) fn new(settings: &TransportSettings, origins: &[Url]) -> Result<Self> {
        require_provider()?;
        let proxy = settings.proxy.as_deref().map(proxy::explicit).transpose()?;
        let client = |local: bool| -> Result<Option<reqwest::Client>> {
            let mut its = origins.iter().filter(|origin| is_loopback(origin) == local).peekable();
            if its.peek().is_none() {
                return Ok(None);
            }
            let mut client = client(settings)?;
            if let Some(proxy) = &proxy {
                let proxy =
                    reqwest::Proxy::all(proxy).map_err(|_| Error::config("the proxy is not a URL"))?;
                client = client.proxy(proxy);
            } else if local {
                client = client.no_proxy();
            }
            for origin in its {
                match origin.host() {
                    Some(Host::Domain(name)) if local => {
                        // Whatever a name server says (RFC 6761 section 6.3).
                        let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                        client = client.resolve_to_addrs(name, &addresses.map(|ip| SocketAddr::new(ip, 0)));
                    }
                    _ if !local && proxy.is_none() => proxy::check_environment(origin)?,
                    _ => {}
                }
            }
            let client = client.build().map_err(|error| {
                Error::config(format!("the HTTP client can't be set up: {}", innermost(&error.without_url())))
            })?;
            Ok(Some(client))
        };
        let (remote, local) = (client(false)?, client(true)?);
        Ok(Self { remote, local, has_proxy: proxy.is_some(), system: Matcher::from_system() })
    }

    fn uses_proxy(&self, uri: &Uri, is_local: bool) -> bool {
        self.has_proxy || !is_local && self.system.intercept(uri).is_some()
    }
}

impl HttpService for Builtin {
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string())
                .map_err(|error| TransportError::new("the request can't be sent", error))?;
            let is_local = is_loopback(&url);
            let client = if is_local { &self.local } else { &self.remote };
            let Some(client) = client else {
                return Err(TransportError::new(
                    "the request can't be sent",
                    "its origin is not an allowed one",
                ));
            };
            let mut request = reqwest::Request::new(parts.method, url);
            *request.headers_mut() = parts.headers;
            if !body.is_empty() {
                *request.body_mut() = Some(body.into());
            }
            let response = client.execute(request).await;
            let mut response =
                response.map_err(|error| failed(error, || self.uses_proxy(&parts.uri, is_local)))?;
            let headers = std::mem::take(response.headers_mut());
            let status: StatusCode = response.status();
            let mut whole = http::Response::new(HttpBody::of_builtin(Body(response)));
            *whole.status_mut() = status;
            *whole.headers_mut() = headers;
            Ok(whole)
        })
    }
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct Body(reqwest::Response);

impl Body {
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        // The future has no state of its own: what has arrived stays in the response.
        let chunk = pin!(self.0.chunk()).poll(cx);
        chunk.map(|chunk| chunk.map_err(|error| failed(error, || false)).transpose())
    }
}

/// The settings that both clients have in common. The decoders are off even where another crate turns their features on.
fn client(settings: &TransportSettings) -> Result<reqwest::ClientBuilder> {
    let client = reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout.unwrap_or(Duration::from_secs(10)))
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .referer(false)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never());
    let client = settings.root_certificates.iter().try_fold(client, |client, pem| trust(client, pem))?;
    match &settings.client_identity {
        Some(pem) => identify(client, pem),
        None => Ok(client),
    }
}

fn failed(error: reqwest::Error, uses_proxy: impl FnOnce() -> bool) -> TransportError {
    let error = error.without_url();
    let (kind, what) = if error.is_timeout() {
        (TransportErrorKind::TimedOut, TOO_LONG)
    } else if error.is_body() || error.is_decode() {
        (TransportErrorKind::Truncated, BROKE_OFF)
    } else if error.is_connect() {
        (unconnected(&error, uses_proxy), "no connection to the service")
    } else {
        (TransportErrorKind::Other, "the request got no response")
    };
    TransportError::with_kind(kind, what, error)
}

fn unconnected(error: &reqwest::Error, uses_proxy: impl FnOnce() -> bool) -> TransportErrorKind {
    if any_source(error, is_tls) {
        TransportErrorKind::Tls
    } else if uses_proxy() {
        TransportErrorKind::Proxy
    } else if error.is_dns() {
        TransportErrorKind::Dns
    } else if any_source(error, is_refusal) {
        TransportErrorKind::Refused
    } else {
        TransportErrorKind::Other
    }
}

/// Returns whether the error or one of its sources passes a test. The source of an I/O error that wraps another error
/// is that one's source, so the wrapped error is tested too.
fn any_source(error: &(dyn StdError + 'static), test: fn(&(dyn StdError + 'static)) -> bool) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    test(error)
        || inner.is_some_and(|inner| any_source(inner, test))
        || error.source().is_some_and(|source| any_source(source, test))
}

fn is_refusal(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The text of the last source, which says what happened.
fn innermost(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(any(feature = "tls", feature = "rustls-no-provider"))]
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    error.is::<rustls::Error>()
}

#[cfg(not(any(feature = "tls", feature = "rustls-no-provider")))]
fn is_tls(_: &(dyn StdError + 'static)) -> bool {
    false
}

/// Without the feature `tls`, the HTTP client panics where no provider is installed.
#[cfg(all(feature = "rustls-no-provider", not(feature = "tls")))]
fn require_provider() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    Err(Error::config(
        "no cryptography provider is installed: call `CryptoProvider::install_default` of rustls first, or use the \
         feature `tls`",
    ))
}

#[cfg(not(all(feature = "rustls-no-provider", not(feature = "tls"))))]
#[expect(clippy::unnecessary_wraps, reason = "the other features' version can fail")]
fn require_provider() -> Result<()> {
    Ok(())
}

#[cfg(any(feature = "tls", feature = "rustls-no-provider"))]
fn trust(client: reqwest::ClientBuilder, pem: &[u8]) -> Result<reqwest::ClientBuilder> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Error::config("the root certificate is not a certificate in PEM form"));
    }
    Ok(client.tls_certs_merge(certificates))
}

#[cfg(not(any(feature = "tls", feature = "rustls-no-provider")))]
fn trust(_: reqwest::ClientBuilder, _: &[u8]) -> Result<reqwest::ClientBuilder> {
    Err(Error::config("a root certificate needs the feature `tls` or `rustls-no-provider`"))
}

#[cfg(any(feature = "tls", feature = "rustls-no-provider"))]
fn identify(client: reqwest::ClientBuilder, pem: &[u8]) -> Result<reqwest::ClientBuilder> {
    let identity = reqwest::Identity::from_pem(pem).map_err(|_| {
        Error::config("the client identity is not a certificate and its private key in PEM form")
    })?;
    Ok(client.identity(identity))
}

#[cfg(not(any(feature = "tls", feature = "rustls-no-provider")))]
fn identify(_: reqwest::ClientBuilder, _: &[u8]) -> Result<reqwest::ClientBuilder> {
    Err(Error::config("a client identity needs the feature `tls` or `rustls-no-provider`"))
}
