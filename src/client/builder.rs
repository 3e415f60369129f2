//! `ClientBuilder`: the settings of a client, and their checks.

use std::{sync::Arc, time::Duration};

use super::{Client, DEFAULT_BASE_URL};
use crate::{
    clock::{self, Clock},
    error::{Error, Result},
    event::batch::LONGEST,
    fetch::Shared,
    link::AllowedOrigins,
    rate::{Pacer, RateLimit},
    response_stats::ResponseStats,
    retry::RetryPolicy,
    token::{ClientCredentials, Token, TokenProvider, TokenSource},
    transport::{HttpService, Transport, TransportSettings},
    trusted_url::trusted_url,
};

/// The settings of a [`Client`].
///
/// | setting | default |
/// |---|---|
/// | [`base_url`](Self::base_url) | `https://webexapis.com/v1` |
/// | [`retry`](Self::retry) | [`RetryPolicy::default`] |
/// | [`rate_limit`](Self::rate_limit) | none |
/// | [`http_service`](Self::http_service) | a client of the crate `reqwest` |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | [`read_timeout`](Self::read_timeout) | 60 s |
/// | [`attempt_timeout`](Self::attempt_timeout) | 10 min |
/// | [`max_page_bytes`](Self::max_page_bytes) | 64 MiB |
/// | [`user_agent`](Self::user_agent) | this crate's name and version |
/// | [`gzip`](Self::gzip) | on |
/// | [`proxy`](Self::proxy) | the system's settings |
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use webex_events::{Client, RateLimit, RetryPolicy};
///
/// let client = Client::builder()
///     .token("NGRjZmQ5ZDAt")
///     .base_url("https://api-usgov.webex.com/v1")
///     .retry(RetryPolicy::default().max_wait(Duration::from_secs(600)))
///     .rate_limit(RateLimit::per_minute(NonZeroU32::new(240).unwrap()))
///     .build()?;
/// # let _ = client;
/// # Ok::<(), webex_events::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "settings do nothing until `build`"]
pub struct ClientBuilder {
    access: Option<ClientCredentials>,
    base_url: Option<String>,
    origins: Vec<String>,
    retry: RetryPolicy,
    rate_limit: Option<RateLimit>,
    settings: TransportSettings,
    /// The system's unless set.
    clock: Option<Arc<dyn Clock>>,
}

impl ClientBuilder {
    /// The access token. When it expires, requests end with [`is_auth`](Error::is_auth). This or
    /// [`token_source`](Self::token_source) is required; the last call wins.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.access = Some(ClientCredentials::Fixed(token.into()));
        self
    }

    /// The source of access tokens, for a client that outlives one: an [`OAuth`](crate::OAuth), or a [`TokenSource`] of
    /// your own.
    ///
    /// The source is called before every attempt, retries included. After a 401 it is called once more,
    /// with the token that was rejected, and the request is sent again with the token that it returns; the error of a
    /// second 401 is [`is_auth`](Error::is_auth). That request counts in [`Stats`](crate::Stats) as a
    /// retry, but not as an attempt of the [`RetryPolicy`]. An error of the source is the error of the
    /// attempt: a transient one is retried by the policy. The position in the list is kept throughout.
    ///
    /// ```no_run
    /// use webex_events::{Client, OAuth};
    ///
    /// # fn example() -> webex_events::Result<()> {
    /// let secret = std::env::var("WEBEX_CLIENT_SECRET").unwrap_or_default();
    /// let client = Client::builder().token_source(OAuth::new("C1ab23", secret, "webex-token.json")?).build()?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        self.access = Some(ClientCredentials::Source(Arc::new(source)));
        self
    }

    /// The base URL of the service. `http` is allowed for a loopback host only.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// A further origin that next links and cursors may point to, and that the token may be sent to: an `https` URL, or
    /// `http` for a loopback host.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// The policy for failed requests.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The rate of requests of this client with all its clones, retries included.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// The time limit for setting up a connection, 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// The time limit for the headers of a response, and for each further part of its body, 60 s unless set. A part
    /// that has arrived when a stream is polled again is in time, even if its reader was busy for longer.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = timeout;
        self
    }

    /// The time limit for an attempt, from connecting to the last byte of the body, 10 min unless set.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// The maximum length of a page in bytes, decompressed: 64 MiB unless set, 2 GiB at most. A longer page is an
    /// [`Error::Decode`].
    pub fn max_page_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_page_bytes = bytes;
        self
    }

    /// The header `User-Agent`.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// Requests compressed responses, which have a fifth to a quarter of the bytes. On unless set.
    ///
    /// On links of up to about 500 Mbit/s they arrive sooner: at 100 Mbit/s and less in about a quarter of the time. On
    /// faster links, decompression takes longer than it saves (`benches/gzip.rs`).
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.settings.gzip = gzip;
        self
    }

    /// A header for every request; never `Authorization`, nor those that the connection needs.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// The proxy for all requests, as an `http` or `https` URL. SOCKS is not supported.
    ///
    /// Unless set, the settings of the system apply (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), except for
    /// requests to a loopback host, such as an allowed origin on this machine: those go there directly, because the
    /// proxy would see the token. [`build`](Self::build) refuses a value of the environment that a request would use
    /// and that is not a proxy, so that no setting is ignored silently.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.settings.proxy = Some(url.into());
        self
    }

    /// Trusts a further root certificate, in PEM form, or several in one bundle: for networks that
    /// inspect TLS. The system's certificates are trusted too.
    pub fn root_certificate(mut self, pem: &[u8]) -> Self {
        self.settings.root_certificates.push(pem.to_vec());
        self
    }

    /// The client certificate for servers and gateways that request one: the certificate, those of its issuers if
    /// there are any, and its private key, all in PEM form.
    ///
    /// ```no_run
    /// use webex_events::Client;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let identity = std::fs::read("client.pem")?;
    /// let client = Client::builder().token("NGRjZmQ5ZDAt").client_identity(&identity).build()?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_identity(mut self, pem: &[u8]) -> Self {
        self.settings.client_identity = Some(pem.to_vec());
        self
    }

    /// Sends requests through this service instead of the built-in HTTP client: for an HTTP stack of your own, another
    /// TLS library, or a double in tests. Its documentation has an example of each.
    ///
    /// [`proxy`](Self::proxy), [`connect_timeout`](Self::connect_timeout),
    /// [`root_certificate`](Self::root_certificate) and [`client_identity`](Self::client_identity) are settings of the
    /// built-in client: with a service they are an [`Error::Config`]. All other settings apply. A [`TokenSource`]
    /// sends its own requests; [`OAuth::http_service`](crate::OAuth::http_service) gives it the same service.
    pub fn http_service(mut self, service: impl HttpService) -> Self {
        self.settings.http_service = Some(Arc::new(service));
        self
    }

    #[cfg(feature = "__internals")]
    pub(crate) fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Checks everything and builds the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], which names the setting that is missing, invalid or contradicts another.
    pub fn build(self) -> Result<Client> {
        let access = self.access.ok_or_else(|| Error::config("there is no token"))?;
        access.check()?;
        let mut base = trusted_url("base URL", self.base_url.as_deref().unwrap_or(DEFAULT_BASE_URL))?;
        let mut origins = AllowedOrigins::new(&base);
        let mut urls = vec![base.clone()];
        for origin in &self.origins {
            let url = trusted_url("allowed origin", origin)?;
            origins.add(&url);
            urls.push(url);
        }
        for (name, timeout) in [
            ("connect", self.settings.connect_timeout),
            ("read", Some(self.settings.read_timeout)),
            ("attempt", Some(self.settings.attempt_timeout)),
        ] {
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(Error::config(format!("a {name} timeout of 0 would fail every request")));
            }
        }
        if !(1..=LONGEST).contains(&self.settings.max_page_bytes) {
            return Err(Error::config(format!(
                "a page can't have up to {} bytes: 1 to {LONGEST} is possible",
                self.settings.max_page_bytes
            )));
        }
        let transport = Transport::new(&self.settings, &urls)?;
        let path = format!("{}/events", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let shared = Shared {
            transport,
            provider: TokenProvider::new(access),
            retry: self.retry,
            pacer: Pacer::new(self.rate_limit),
            clock: self.clock.unwrap_or_else(|| Arc::new(clock::System)),
            response_stats: ResponseStats::default(),
            origins,
            events: base,
        };
        Ok(Client { shared: Arc::new(shared) })
    }
}
