//! A simulated Webex Events service, for tests of your own pipelines.
//!
//! A [`Sandbox`] speaks real HTTP on a loopback port of your own process. It needs no account and
//! no network, holds as many synthetic events as you like, and goes wrong in all the ways that the
//! real service does, when you say so and the same way each time.
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
//! With this crate's client, a test that a pipeline loses nothing reads like this:
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
//! # What it serves
//!
//! - `GET /v1/events` with `resource`, `type`, `actorId`, `from`, `to`, `max` and `serviceType`, each
//!   with its documented bounds. Other parameters are ignored.
//! - `Link` paging. A cursor pins the window of its list: events that come in later aren't in a walk
//!   that has begun. A next link must be requested as it is; with another parameter it is answered
//!   400. It exists iff another event remains.
//! - `GET /v1/events/{id}`.
//! - `POST /v1/access_token`, the refresh grant of OAuth.
//! - Bearer tokens, error bodies and a `TrackingID` in the forms of the real service.
//!
//! # The events
//!
//! They follow from [`seed`](SandboxBuilder::seed), are of every resource and type, and have the
//! fields and sizes of real ones. Lists have them newest first unless
//! [`shuffled`](SandboxBuilder::shuffled). More can come in while it runs: [`Sandbox::push`],
//! [`Sandbox::push_json`], [`late_events`](SandboxBuilder::late_events), and a
//! [`period`](SandboxBuilder::period) that reaches into the future.
//!
//! # What it makes go wrong
//!
//! | fault | setter |
//! |---|---|
//! | rate limits, with any `Retry-After` | [`rate_limit`](SandboxBuilder::rate_limit), [`rate_limit_header`](SandboxBuilder::rate_limit_header) |
//! | slow answers | [`latency`](SandboxBuilder::latency), [`slow_bodies`](SandboxBuilder::slow_bodies) |
//! | other answers than the true one | [`fail`](SandboxBuilder::fail) |
//! | broken connections | [`drop_connections`](SandboxBuilder::drop_connections), [`cut_bodies`](SandboxBuilder::cut_bodies) |
//! | items that aren't events, or not whole | [`malformed_every`](SandboxBuilder::malformed_every), [`malformed_at`](SandboxBuilder::malformed_at), [`field_errors_every`](SandboxBuilder::field_errors_every) |
//! | empty pages | [`empty_pages`](SandboxBuilder::empty_pages), [`endless_empty_pages`](SandboxBuilder::endless_empty_pages), [`trailing_empty_page`](SandboxBuilder::trailing_empty_page) |
//! | foreign, cyclic and malformed links | [`links`](SandboxBuilder::links) |
//! | cursors that expire | [`cursor_uses`](SandboxBuilder::cursor_uses), [`cursor_lifetime`](SandboxBuilder::cursor_lifetime), [`Sandbox::expire_cursors`] |
//! | events that come late | [`late_events`](SandboxBuilder::late_events), [`late_every`](SandboxBuilder::late_every) |
//! | tokens that expire or are revoked | [`token_lifetime`](SandboxBuilder::token_lifetime), [`Sandbox::revoke_tokens`] |
//! | a look too far back | [`retention`](SandboxBuilder::retention) |
//!
//! Faults that are about requests take a [`When`]. All of them can be changed while the sandbox
//! runs. Of one request, the latency comes first, then a dropped connection, an injected answer, the
//! token, the rate limit, and at last the true answer.
//!
//! # Where it had to choose
//!
//! The real service leaves these open, or nobody has written them down. A pipeline shouldn't depend
//! on them: the order of a list; whether `from` and `to` include their instants ([`Bounds`] chooses);
//! 400 for a misspelt `resource` or `type`, for a `max` out of bounds, for a `to` in the future and
//! for a `from` behind `to`; a `serviceType` that isn't needed is ignored; how long cursors live; all
//! events, however old, in a list without `from`; 401 for a wrong OAuth client and 400 for a wrong
//! refresh token; the texts of most error messages.

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
    service::State,
    store::{Filter, Names, Selection, Store},
};
use crate::error::{Error, Result};

/// A running simulation of the service. See the [module](self) for a guide.
///
/// Dropping it closes its port and its connections.
#[must_use = "a sandbox stops when it is dropped"]
pub struct Sandbox {
    state: Arc<State>,
    token: String,
    server: AbortHandle,
}

impl Sandbox {
    /// A sandbox to be set up; [`SandboxBuilder`] has the defaults.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// The URL that paths such as `/events` stand behind: `http://127.0.0.1:41234/v1`. Next links
    /// point to the same host, so `localhost` won't do instead.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.state.base_url
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.state.address
    }

    /// The access token that it accepts from its start on, until it expires or is revoked.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// # Tokens
impl Sandbox {
    /// The client id for a refresh grant.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.state.tokens().client().0.to_owned()
    }

    /// The client secret for a refresh grant.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.state.tokens().client().1.to_owned()
    }

    /// The refresh token that is good now; `None` after
    /// [`revoke_refresh_token`](Sandbox::revoke_refresh_token).
    #[must_use]
    pub fn refresh_token(&self) -> Option<String> {
        self.state.tokens().refresh_token().map(str::to_owned)
    }

    /// Refuses all access tokens given out so far. A grant still gives a new one.
    pub fn revoke_tokens(&self) {
        self.state.tokens().revoke();
    }

    /// Refuses the refresh token. No grant can succeed from then on.
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
    /// The time by the sandbox's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.state.clock.now()).unwrap_or_default()
    }

    /// Sets the clock, which stands still from then on. By it go the `Date` header, the bound on
    /// `to`, which events have come to be, the retention, and the lives of tokens and cursors.
    pub fn set_now(&self, now: DateTime<Utc>) {
        self.state.clock.set(now.timestamp_millis());
    }

    /// Moves the clock on. One that stands stays standing; one that runs goes on running.
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

    /// Adds an event of your own: JSON with at least `id`, `resource`, `type` and an RFC 3339
    /// `created`. Lists have it byte for byte. Returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it isn't such an event, or if there is one of this id.
    pub fn push_json(&self, event: &str) -> Result<String> {
        let names: Names = serde_json::from_str(event)
            .map_err(|error| Error::config(format!("a sandbox can't add what isn't an event: {error}")))?;
        if !self.state.store_mut().push_text(event, &names, names.created.timestamp_millis()) {
            return Err(Error::config(format!("a sandbox has an event {} already", names.id)));
        }
        Ok(names.id)
    }

    /// Lets so many late events arrive, the newest first, and returns their ids: fewer when no more
    /// are left.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn release_late(&self, count: usize) -> Vec<String> {
        self.state.store_mut().release(count)
    }

    /// How many late events there are that haven't arrived.
    #[must_use]
    pub fn late_events(&self) -> usize {
        self.state.store().waiting()
    }

    /// The ids of all events that a list without parameters has now, in its order, malformed ones
    /// too.
    #[must_use]
    pub fn event_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        self.visit(|store, number| ids.push(store.id(number)));
        ids
    }

    /// The text of the event of this id as it was made, if it has arrived.
    #[must_use]
    pub fn event_text(&self, id: &str) -> Option<String> {
        let store = self.state.store();
        let number = store.arrived(id)?;
        Some(String::from_utf8_lossy(store.text(number)).into_owned())
    }

    /// Shows every item that a list without parameters has now, in its order and byte for byte as
    /// its pages have it, with malformed items and field errors. Requests that add events wait
    /// meanwhile; `item` must not call back into the sandbox.
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

/// # What it has seen
impl Sandbox {
    /// Counts since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.log().counts()
    }

    /// The last requests, the oldest first: at most
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
