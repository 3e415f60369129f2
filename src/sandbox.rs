//! A simulated Webex Events service, for tests of your own pipelines.
//!
//! A [`Sandbox`] serves real HTTP on a loopback port of your own process. It needs no account and
//! no network, holds as many synthetic events as you like, and fails in all the ways that the
//! real service does, when you choose and the same way each time.
//!
//! ```
//! use webex_events::sandbox::{Response, Sandbox, When};
//!
//! # async fn example() -> webex_events::Result<()> {
//! let sandbox = Sandbox::builder()
//!     .events(10_000)
//!     .seed(7)
//!     .fail(When::every(10), Response::status(503))
//!     .malformed_every(1000)
//!     .start()
//!     .await?;
//!
//! // … point a client to `sandbox.base_url()`, with `sandbox.token()` …
//!
//! assert_eq!(sandbox.counts().unauthorized, 0);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! With this crate's client, this is a test that a pipeline loses nothing:
//!
//! ```
//! # use futures::TryStreamExt;
//! # use webex_events::{Client, ListEvents, sandbox::Sandbox};
//! # async fn example() -> webex_events::Result<()> {
//! # let sandbox = Sandbox::builder().events(300).start().await?;
//! let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
//! let ids: Vec<_> = client.list(ListEvents::new()).map_ok(|event| event.id().to_owned()).try_collect().await?;
//! assert_eq!(ids, sandbox.event_ids());
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # Testing with faults
//!
//! Three faults that every pipeline meets. None of these tests waits: the sandbox's clock is moved instead, or the
//! client has no backoff.
//!
//! **A rate limit.** A pipeline that stops at a 429 must continue at its cursor:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::TryStreamExt;
//! # use webex_events::{Client, ListEvents, RetryPolicy, sandbox::Sandbox};
//! # async fn example() -> webex_events::Result<()> {
//! let minute = Duration::from_secs(60);
//! let sandbox = Sandbox::builder().events(300).rate_limit(2, minute).start().await?;
//! let client = || {
//!     let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token());
//!     client.retry(RetryPolicy::never()).build()
//! };
//!
//! let mut pages = client()?.list(ListEvents::new().page_size(100)).pages();
//! assert_eq!(pages.try_next().await?.unwrap().items.len(), 100);
//! assert_eq!(pages.try_next().await?.unwrap().items.len(), 100);
//! let error = pages.try_next().await.unwrap_err();
//! assert!(error.is_rate_limited() && error.retry_after() <= Some(minute));
//! let cursor = pages.cursor().unwrap(); // what a pipeline stores
//!
//! // The next run, a minute later by the sandbox's clock. The pause was one of the first client.
//! sandbox.advance(minute);
//! let rest: Vec<_> = client()?.resume(&cursor).try_collect().await?;
//! assert_eq!(rest.len(), 100);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! **A malformed item.** It is an error at its position, and the list continues after it:
//!
//! ```
//! # use futures::StreamExt;
//! # use webex_events::{Client, Error, ListEvents, sandbox::Sandbox};
//! # async fn example() -> webex_events::Result<()> {
//! let sandbox = Sandbox::builder().events(3).malformed_at([1]).start().await?;
//! let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
//!
//! let items: Vec<_> = client.list(ListEvents::new()).collect().await;
//! assert_eq!(items.len(), 3);
//! assert!(items[0].is_ok() && items[2].is_ok());
//! assert!(matches!(&items[1], Err(Error::Item(item)) if item.index() == 1 && !item.raw().is_empty()));
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! **A body that is cut.** It is never taken for a page. The client requests the page again:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::TryStreamExt;
//! # use webex_events::{Client, ListEvents, RetryPolicy, sandbox::{Sandbox, When}};
//! # async fn example() -> webex_events::Result<()> {
//! let sandbox = Sandbox::builder().events(300).cut_bodies(When::next(1), 0.5).start().await?;
//! let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token());
//! let client = client.retry(RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO)).build()?;
//!
//! let mut events = client.list(ListEvents::new());
//! let mut ids = Vec::new();
//! while let Some(event) = events.try_next().await? {
//!     ids.push(event.id().to_owned());
//! }
//! assert_eq!(ids, sandbox.event_ids());
//! assert_eq!(events.stats().retries, 1);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # The service
//!
//! - `GET /v1/events` with `resource`, `type`, `actorId`, `from`, `to`, `max` and `serviceType`, each
//!   with its documented bounds. Other parameters are ignored.
//! - `Link` paging. A cursor pins the window of its list: events that arrive later aren't in a list
//!   that has begun. A next link must be requested as it is: the response to one with another parameter is a
//!   400. There is a next link if and only if another event remains.
//! - `GET /v1/events/{id}`.
//! - `POST /v1/access_token`, for refresh tokens and authorization codes.
//! - `GET /v1/authorize`, a page with the buttons *Allow* and *Deny* (`decision=allow` in its form), which redirects to
//!   any loopback address. Codes are good for 5 minutes and one use, by the same client, with the same redirect URI and
//!   the verifier of its PKCE challenge. `POST /v1/device/authorize` and `/v1/device/token` are the device grant, with
//!   such a page at `/v1/device/verify`.
//! - Bearer tokens, error bodies and a `TrackingID` in the forms of the real service.
//!
//! # The events
//!
//! The [`seed`](SandboxBuilder::seed) determines the events. They are of every resource and type, and have the
//! fields and sizes of real ones. Lists have the newest first unless
//! [`shuffled`](SandboxBuilder::shuffled). More can arrive while the sandbox runs, by [`Sandbox::push`],
//! [`Sandbox::push_json`], [`late_events`](SandboxBuilder::late_events), and a
//! [`period`](SandboxBuilder::period) that reaches into the future.
//!
//! # Faults
//!
//! | fault | setter |
//! |---|---|
//! | rate limits, with any `Retry-After` | [`rate_limit`](SandboxBuilder::rate_limit), [`rate_limit_header`](SandboxBuilder::rate_limit_header) |
//! | wrong `Date` headers | [`wrong_dates`](SandboxBuilder::wrong_dates) |
//! | slow responses | [`latency`](SandboxBuilder::latency), [`slow_bodies`](SandboxBuilder::slow_bodies) |
//! | other responses than the true one | [`fail`](SandboxBuilder::fail) |
//! | broken connections | [`drop_connections`](SandboxBuilder::drop_connections), [`cut_bodies`](SandboxBuilder::cut_bodies) |
//! | items that aren't complete events | [`malformed_every`](SandboxBuilder::malformed_every), [`malformed_at`](SandboxBuilder::malformed_at), [`field_errors_every`](SandboxBuilder::field_errors_every) |
//! | empty pages | [`empty_pages`](SandboxBuilder::empty_pages), [`endless_empty_pages`](SandboxBuilder::endless_empty_pages), [`trailing_empty_page`](SandboxBuilder::trailing_empty_page) |
//! | foreign, cyclic and malformed links | [`links`](SandboxBuilder::links) |
//! | cursors that expire | [`cursor_uses`](SandboxBuilder::cursor_uses), [`cursor_lifetime`](SandboxBuilder::cursor_lifetime), [`Sandbox::expire_cursors`] |
//! | events that arrive late | [`late_events`](SandboxBuilder::late_events), [`late_every`](SandboxBuilder::late_every) |
//! | tokens that expire or are revoked | [`token_lifetime`](SandboxBuilder::token_lifetime), [`Sandbox::revoke_tokens`] |
//! | lists that reach too far back | [`retention`](SandboxBuilder::retention) |
//!
//! Faults of requests take a [`When`]. All faults can be changed while the sandbox
//! runs. For each request they apply in this order: the latency, a dropped connection, an injected response, the
//! check of the token, the rate limit, and finally the true response.
//!
//! # Choices
//!
//! The real service doesn't document these, so a pipeline shouldn't depend on them: the order of a list; whether
//! `from` and `to` include their instants ([`Bounds`] chooses); a 400 for a misspelt `resource` or `type`, for a
//! `max` out of bounds, for a `to` in the future and for a `from` after `to`; a `serviceType` that isn't needed is
//! ignored; the lifetime of cursors; all events, however old, in a list without `from`; a 401 for a wrong OAuth client
//! and a 400 for a wrong refresh token; that a login replaces the refresh token before; the texts of most error messages.

mod body;
mod builder;
mod clock;
mod cursor;
mod events;
mod faults;
mod injections;
mod items;
mod json;
mod list;
mod log;
mod login;
mod oauth;
mod query;
mod random;
mod scene;
mod service;
mod start_error;
mod store;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::task::AbortHandle;

#[expect(deprecated, reason = "the former name stays for those who use it")]
pub use self::faults::Answer;
pub use self::{
    builder::SandboxBuilder,
    faults::{LinkFault, Response, When},
    items::Malformed,
    log::{Counts, Request, Route},
    query::Bounds,
    start_error::{StartError, StartErrorKind},
};
use self::{
    service::SandboxState,
    store::{Filter, Names, Selection, Store},
};
use crate::error::{Error, Result};

/// A running simulation of the service. See the [module](self) for a guide.
///
/// Dropping it closes its port and its connections.
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, sandbox::Sandbox};
/// # async fn example() -> webex_events::Result<()> {
/// let sandbox = Sandbox::builder().events(0).start().await?;
/// let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
///
/// let id = sandbox.push(sandbox.now());
/// assert_eq!(client.get(&id).await?.raw(), sandbox.event_text(&id).unwrap());
/// assert_eq!(sandbox.counts().requests, 1);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[must_use = "a sandbox stops when it is dropped"]
pub struct Sandbox {
    state: Arc<SandboxState>,
    token: String,
    server: AbortHandle,
}

impl Sandbox {
    /// Returns a builder with the defaults that [`SandboxBuilder`] lists.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// Returns the URL that paths such as `/events` are appended to: `http://127.0.0.1:41234/v1`. Next links
    /// point to the same host, so `localhost` can't be used instead.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.state.base_url
    }

    /// Returns the address that the sandbox listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.state.address
    }

    /// Returns the access token that is accepted from the start until it expires or is revoked.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// # Tokens
impl Sandbox {
    /// Returns the client id for a refresh grant or a login.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.state.tokens().client().0.to_owned()
    }

    /// Returns the client secret for a refresh grant or a login.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.state.tokens().client().1.to_owned()
    }

    /// Returns the refresh token that is valid now; `None` after
    /// [`revoke_refresh_token`](Sandbox::revoke_refresh_token).
    #[must_use]
    pub fn refresh_token(&self) -> Option<String> {
        self.state.tokens().refresh_token().map(str::to_owned)
    }

    /// Refuses all access tokens given out so far. A grant still returns a new one.
    pub fn revoke_tokens(&self) {
        self.state.tokens().revoke();
    }

    /// Refuses the refresh token. No refresh grant can succeed from then on, until another login.
    pub fn revoke_refresh_token(&self) {
        self.state.tokens().revoke_refresh_token();
    }

    /// Accepts this access token and, until the next grant, no other.
    pub fn set_token(&self, token: impl Into<String>) {
        let now = self.state.clock.now();
        self.state.tokens().replace(token.into(), now);
    }
}

/// # Time
impl Sandbox {
    /// Returns the time by the sandbox's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.state.clock.now()).unwrap_or_default()
    }

    /// Sets the clock and stops it. These depend on the clock: the `Date` header, the bound on
    /// `to`, which events are listed, the retention, and the lifetimes of tokens and cursors. The periods of a
    /// [`rate_limit`](SandboxBuilder::rate_limit) pass in real time.
    pub fn set_now(&self, now: DateTime<Utc>) {
        self.state.clock.set(now.timestamp_millis());
    }

    /// Moves the clock forward, and the periods of a [`rate_limit`](SandboxBuilder::rate_limit) too. A stopped clock
    /// stays stopped; a running one continues to run.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }
}

/// # Events
impl Sandbox {
    /// Adds an event created at this time, rounded down to the millisecond, and returns its id.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn push(&self, created: DateTime<Utc>) -> String {
        self.state.store_mut().push(created.timestamp_millis())
    }

    /// Adds an event of your own and returns its id. It is JSON with at least `id`, `resource`, `type` and an RFC 3339
    /// `created`, and lists have it byte for byte.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it isn't such an event, or if there already is one with its id.
    pub fn push_json(&self, event: &str) -> Result<String> {
        let names: Names = serde_json::from_str(event)
            .map_err(|error| Error::config(format!("the text isn't an event: {error}")))?;
        if !self.state.store_mut().push_text(event, &names, names.created.timestamp_millis()) {
            return Err(Error::config(format!("the sandbox already has an event with the id {}", names.id)));
        }
        Ok(names.id)
    }

    /// Lets at most this number of late events arrive, the newest first, and returns their ids.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn release_late(&self, count: usize) -> Vec<String> {
        self.state.store_mut().release(count)
    }

    /// Returns the number of late events that haven't arrived.
    #[must_use]
    pub fn late_events(&self) -> usize {
        self.state.store().waiting()
    }

    /// Returns the ids of all events that a list without parameters has now, in its order, including malformed
    /// ones.
    #[must_use]
    pub fn event_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        self.visit(|store, number| ids.push(store.id(number)));
        ids
    }

    /// Returns the text of the event with this id as it was generated or pushed, if it has arrived.
    #[must_use]
    pub fn event_text(&self, id: &str) -> Option<String> {
        let store = self.state.store();
        let number = store.arrived(id)?;
        Some(String::from_utf8_lossy(store.text(number)).into_owned())
    }

    /// Calls `item` with every item that a list without parameters has now, in its order and byte for byte as
    /// its pages have it, including malformed items and field errors. Requests that add events wait
    /// meanwhile; `item` must not call the sandbox.
    pub fn for_each_item(&self, mut item: impl FnMut(&str)) {
        let faults = Arc::clone(&self.state.faults().items);
        let mut text = Vec::new();
        self.visit(|store, number| {
            text.clear();
            faults.write(&mut text, number, store.text(number));
            item(&String::from_utf8_lossy(&text));
        });
    }

    fn visit(&self, mut visit: impl FnMut(&Store, u32)) {
        let store = self.state.store();
        let all = Selection { created: (i64::MIN, self.state.clock.now()), version: store.version() };
        for number in store.page(all, &Filter::default(), None, usize::MAX).numbers {
            visit(&store, number);
        }
    }

    /// Makes all cursors given out so far expire.
    pub fn expire_cursors(&self) {
        self.state.cursors().expire_all();
    }
}

/// # Requests
impl Sandbox {
    /// Returns the counts since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.log().counts()
    }

    /// Returns the latest requests, the oldest first: at most
    /// [`log_capacity`](SandboxBuilder::log_capacity).
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.log().last()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("base_url", &self.state.base_url).finish_non_exhaustive()
    }
}
