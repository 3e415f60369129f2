//! `Client` and `ClientBuilder`.

use std::{
    collections::BTreeMap,
    env::{self, VarError},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use crate::{
    checkpoint::Checkpoint,
    clock,
    cursor::Cursor,
    error::{Error, Result},
    event::{Event, batch::LONGEST},
    fetch::Shared,
    link::AllowedOrigins,
    query::ListEvents,
    rate::{Pacer, RateLimit},
    response_stats::ResponseStats,
    retry::RetryPolicy,
    slice::Slice,
    stream::{EventStream, Follow, SliceStream},
    token::{Access, Token, TokenProvider, TokenSource},
    transport::{HttpService, Settings, Transport},
    trusted_url::trusted_url,
};

/// The base URL unless another is set.
const DEFAULT_BASE_URL: &str = "https://webexapis.com/v1";

/// The base URL of Webex for Government (`FedRAMP`), for [`ClientBuilder::base_url`].
///
/// ```
/// use webex_events::{Client, FEDRAMP_BASE_URL};
///
/// let client = Client::builder().token("NGRjZmQ5ZDAt").base_url(FEDRAMP_BASE_URL).build()?;
/// # drop(client);
/// # Ok::<(), webex_events::Error>(())
/// ```
pub const FEDRAMP_BASE_URL: &str = "https://api-usgov.webex.com/v1";

/// The way to the service.
///
/// Cloning it is cheap, and clones share everything: the pool of connections, the pace of
/// [`rate_limit`](ClientBuilder::rate_limit), and the pauses that the service asks for ([`RetryPolicy`]), since it
/// counts by user and not by connection.
///
/// ```no_run
/// use futures::TryStreamExt;
/// use webex_events::{Client, ListEvents, Resource};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(std::env::var("WEBEX_ACCESS_TOKEN")?)?;
/// let mut events = client.list(ListEvents::new().resource(Resource::Messages));
/// while let Some(event) = events.try_next().await? {
///     println!("{} {}", event.created(), event.id());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// A client with this token and the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the token is invalid, or the proxy in the environment.
    pub fn new(token: impl Into<Token>) -> Result<Self> {
        Self::builder().token(token).build()
    }

    /// A client with the token in the environment variable `WEBEX_ACCESS_TOKEN`, and the base URL in
    /// `WEBEX_BASE_URL` if that is set and not empty. All other settings are the defaults of [`ClientBuilder`].
    ///
    /// ```no_run
    /// use webex_events::Client;
    ///
    /// let client = Client::from_env()?;
    /// # drop(client);
    /// # Ok::<(), webex_events::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `WEBEX_ACCESS_TOKEN` is missing or either value is invalid.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| match env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(Error::config(format!("`{name}` is not UTF-8"))),
        };
        let token = variable("WEBEX_ACCESS_TOKEN")?
            .ok_or_else(|| Error::config("there is no token in `WEBEX_ACCESS_TOKEN`"))?;
        let builder = Self::builder().token(token);
        match variable("WEBEX_BASE_URL")? {
            Some(url) => builder.base_url(url).build(),
            None => builder.build(),
        }
    }

    /// Settings, to be built into a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Lists the events that `query` asks for.
    ///
    /// Nothing is sent until the stream is polled, and no page before its first event is. An invalid
    /// query gives one item, an [`Error::Query`].
    pub fn list(&self, query: ListEvents) -> EventStream {
        EventStream::list(Arc::clone(&self.shared), query)
    }

    /// Goes on where `cursor` was taken.
    ///
    /// Nothing is sent until the stream is polled. The cursor's page is asked for again, and the events
    /// that the cursor counts as handed out are passed over. The first item is an error if that page is
    /// gone ([`Error::Cursor`]) or lies outside this client's origins ([`Error::Link`]).
    pub fn resume(&self, cursor: &Cursor) -> EventStream {
        EventStream::resumed(Arc::clone(&self.shared), cursor.clone())
    }

    /// Lists slices of a range, up to `concurrency` of them concurrently. A single list takes a round trip for
    /// each page; slices have several requests in flight.
    ///
    /// The slices of a range yield each event exactly once, as [`Slice`] describes. Nothing is sent until the
    /// stream is polled. All slices share this client's rate limit and pauses, so that more of them never
    /// means more requests than that allows. `slices` may be any iterator, even an endless one: a new slice is
    /// taken from it only when an earlier one was closed or set aside.
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use webex_events::{Client, ListEvents, Result};
    /// # async fn example(client: Client, week: ListEvents) -> Result<()> {
    /// use std::{num::NonZeroUsize, time::Duration};
    ///
    /// let slices = week.slices(Duration::from_secs(3600))?;
    /// let mut events = client.list_slices(slices, NonZeroUsize::new(8).unwrap()).events();
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{}", event.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_slices(
        &self,
        slices: impl IntoIterator<Item = Slice, IntoIter: Send + 'static>,
        concurrency: NonZeroUsize,
    ) -> SliceStream {
        SliceStream::new(Arc::clone(&self.shared), slices.into_iter(), concurrency)
    }

    /// Follows the events of a query as they come, without end.
    ///
    /// Begins behind `checkpoint`, which takes the place of the query's `from`; nothing is sent until the
    /// stream is polled. A query with a `to` gives one item, an [`Error::Query`].
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use webex_events::{Client, Result};
    /// # async fn example(client: Client) -> Result<()> {
    /// use chrono::Utc;
    /// use std::time::Duration;
    /// use webex_events::{Checkpoint, ListEvents};
    ///
    /// let start = client.service_time().unwrap_or_else(Utc::now);
    /// let mut events = client.follow(ListEvents::new(), Checkpoint::at(start)).settle(Duration::from_secs(900));
    /// while let Some(event) = events.next().await {
    ///     println!("{}", event?.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, query: ListEvents, checkpoint: Checkpoint) -> Follow {
        Follow::new(Arc::clone(&self.shared), query, checkpoint)
    }

    /// Gets one event by its id: `GET /events/{id}`, the id percent-encoded as one segment.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] for the ids `""`, `"."` and `".."`, which aren't sent;
    /// [`is_not_found`](Error::is_not_found) for one that the service doesn't know, or not any more;
    /// otherwise whatever a list can end with, tried again by the same policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the request.
    pub async fn get(&self, id: &str) -> Result<Event> {
        self.shared.event(id).await
    }

    /// Gets another resource under the base URL, such as `people/me`: with the same token, pace, pauses, retries and
    /// limits as a page of events.
    ///
    /// `path` is relative to the base URL, with or without a leading slash, and may have a query. It is sent byte for
    /// byte, so anything that a URL can't hold must be percent-encoded. Links to further pages are not followed.
    ///
    /// ```no_run
    /// use webex_events::Client;
    ///
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "camelCase")]
    /// struct Person {
    ///     display_name: String,
    /// }
    ///
    /// # async fn example(client: Client) -> webex_events::Result<()> {
    /// let me: Person = client.get_json("people/me").await?;
    /// println!("{}", me.display_name);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Query`] for a path that leaves the base URL or can't be sent as it is, without a request;
    /// [`Error::Decode`] for a body that isn't a `T`; otherwise any error that ends a list.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the request.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.shared.json(path).await
    }

    /// What time it is for the service, in UTC: the `Date` of the latest answer to this client or a clone,
    /// moved on by the time since. `None` before the first answer with a `Date`.
    ///
    /// It errs to the past only, by up to a second and the time that the answer was on its way: the
    /// service's clock shows no less. It doesn't go by this machine's time of day. An answer with another
    /// clock's `Date`, such as a gateway's, moves it until the next answer.
    #[must_use]
    pub fn service_time(&self) -> Option<DateTime<Utc>> {
        self.shared.service_time()
    }

    /// How many answers of each status this client and its clones have had, 200 included.
    ///
    /// A request that got no whole answer isn't in it, nor is a redirect that was followed, nor what a
    /// [`TokenSource`] asks for.
    ///
    /// ```
    /// # #[cfg(feature = "sandbox")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> webex_events::Result<()> {
    /// # use webex_events::{Client, sandbox::Sandbox};
    /// # let sandbox = Sandbox::builder().start().await?;
    /// let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
    /// assert!(client.answers().is_empty() && client.service_time().is_none());
    ///
    /// client.get("not-an-id").await.unwrap_err();
    /// assert_eq!(client.answers().get(&404), Some(&1));
    /// assert!(client.service_time().unwrap() <= sandbox.now());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sandbox"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        self.shared.response_stats.by_status()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("events", &self.shared.events.as_str())
            .field("retry", &self.shared.retry)
            .finish_non_exhaustive()
    }
}

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
    access: Option<Access>,
    base_url: Option<String>,
    origins: Vec<String>,
    retry: RetryPolicy,
    rate_limit: Option<RateLimit>,
    settings: Settings,
}

impl ClientBuilder {
    /// The access token, for as long as it lasts: after a 401 nothing is sent again. This or
    /// [`token_source`](Self::token_source) is required; the one that is called last holds.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.access = Some(Access::Fixed(token.into()));
        self
    }

    /// Where the access token comes from, for a client that outlives one: an [`OAuth`](crate::OAuth), or
    /// a [`TokenSource`] of your own.
    ///
    /// The source is asked before every attempt, retries included. After a 401 it is asked once more,
    /// with the token that was rejected, and the request is sent again with what it answers; the error of a
    /// second 401 is [`is_auth`](Error::is_auth). That request counts in [`Stats`](crate::Stats) as a
    /// retry, but not as an attempt of the [`RetryPolicy`]. An error of the source is the error of the
    /// attempt: a transient one is tried again by the policy. The place in the list is kept throughout.
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
        self.access = Some(Access::Source(Arc::new(source)));
        self
    }

    /// Where the service is. `http` is allowed for a loopback host only.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// A further origin that next links and cursors may point to, and so where the token may go: an
    /// `https` URL, or `http` for a loopback host.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// When a request that failed is sent again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How often the client may ask, with all its clones, retries included.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// The time limit for setting up a connection, 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// How long the service may be silent: before the head of its answer, and between parts of it. What
    /// has come by the time that a stream is polled again is never late, however busy its reader was.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = timeout;
        self
    }

    /// How long an attempt may take, from connecting to the last byte of the body.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// How many bytes a page may have, unpacked; up to 2 GiB. A longer one is an [`Error::Decode`].
    pub fn max_page_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_page_bytes = bytes;
        self
    }

    /// The header `User-Agent`.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// Whether to ask for compressed answers, which have a fifth to a quarter of the bytes.
    ///
    /// On links of up to some 500 Mbit/s they come sooner: at 100 Mbit/s and less in about a quarter of
    /// the time. Where the service is nearer than that, unpacking takes longer than it saves
    /// (`benches/gzip.rs`).
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
    /// inspect TLS. Those of the system are trusted too.
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
            clock: Box::new(clock::System),
            response_stats: ResponseStats::default(),
            origins,
            events: base,
        };
        Ok(Client { shared: Arc::new(shared) })
    }
}
