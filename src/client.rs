//! `Client`.

use std::{
    collections::BTreeMap,
    env::{self, VarError},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use crate::{
    checkpoint::Checkpoint,
    cursor::Cursor,
    error::{Error, Result},
    event::Event,
    fetch::Shared,
    query::ListEvents,
    slice::Slice,
    stream::{EventStream, Follow, SliceStream},
    token::Token,
};

mod builder;

pub use builder::ClientBuilder;

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

/// A client of the service.
///
/// Cloning it is cheap, and clones share everything: the pool of connections, the pace of
/// [`rate_limit`](ClientBuilder::rate_limit), and the pauses that the service requests
/// ([`RetryPolicy`](crate::RetryPolicy)), since it counts by user and not by connection.
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
    /// Builds a client with this token and the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the token is invalid, or the proxy in the environment.
    pub fn new(token: impl Into<Token>) -> Result<Self> {
        Self::builder().token(token).build()
    }

    /// Builds a client with the token in the environment variable `WEBEX_ACCESS_TOKEN`, and the base URL in
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

    /// Returns a builder for the settings of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Lists the events that match `query`.
    ///
    /// Nothing is sent until the stream is polled, and each page is requested only when its first event is polled for. An invalid query
    /// gives one item, an [`Error::Query`].
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use webex_events::{Client, ListEvents, Resource, Result};
    /// # async fn example(client: Client) -> Result<()> {
    /// let query = ListEvents::new().resource(Resource::Meetings).page_size(100);
    /// let ids: Vec<_> = client.list(query).map_ok(|event| event.id().to_owned()).try_collect().await?;
    /// # drop(ids);
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, query: ListEvents) -> EventStream {
        EventStream::list(Arc::clone(&self.shared), query)
    }

    /// Resumes the list at `cursor`.
    ///
    /// Nothing is sent until the stream is polled. The cursor's page is requested again, and the events up to the cursor
    /// are skipped. The first item is an error if that page is
    /// gone ([`Error::Cursor`]) or lies outside this client's origins ([`Error::Link`]).
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use webex_events::{Client, Cursor, Result};
    /// # async fn example(client: Client, stored: String) -> Result<()> {
    /// let cursor: Cursor = stored.parse()?;
    /// let mut rest = client.resume(&cursor);
    /// while let Some(event) = rest.try_next().await? {
    ///     println!("{}", event.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
    /// Begins after `checkpoint`, which replaces the query's `from`; nothing is sent until the
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
    /// ```
    /// # use webex_events::{Client, Result};
    /// # async fn example(client: Client, id: &str) -> Result<()> {
    /// match client.get(id).await {
    ///     Err(error) if error.is_not_found() => println!("{id} is gone"),
    ///     event => println!("{}", event?.raw()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Query`] for the ids `""`, `"."` and `".."`, which aren't sent;
    /// [`is_not_found`](Error::is_not_found) for one that the service doesn't know, or no longer knows;
    /// otherwise any error that ends a list, after retries by the same policy.
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

    /// The service's time in UTC: the `Date` of a response to this client or a clone, plus the time since by the
    /// monotonic clock. `None` before the first `Date` that is believed.
    ///
    /// A `Date` is believed if a second clock supports it: the first one if it lies within a minute of this
    /// machine's time of day, a later one if it lies within a minute of the service's time so far. A `Date` that
    /// has no such support, because one of the clocks is wrong or has jumped, is believed once three responses agree
    /// within a minute. So a single wrong `Date`, such as a gateway's, changes nothing.
    ///
    /// The time may be early by up to a second and the time that the response took, but it is never later than the
    /// service's clock.
    #[must_use]
    pub fn service_time(&self) -> Option<DateTime<Utc>> {
        self.shared.service_time()
    }

    /// The latest time that a response has claimed in its `Date`, plus the time since, even if it is not believed
    /// ([`service_time`](Self::service_time)). For diagnostics: if only this one is `Some`, the clocks differ.
    #[must_use]
    pub fn claimed_time(&self) -> Option<DateTime<Utc>> {
        self.shared.response_stats.claimed_time(self.shared.clock.now())
    }

    /// Returns the number of responses of each status to this client and its clones, 200 included.
    ///
    /// Not counted are requests without a complete response, redirects that were followed, and the requests of a
    /// [`TokenSource`](crate::TokenSource).
    ///
    /// ```
    /// # #[cfg(feature = "sandbox")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> webex_events::Result<()> {
    /// # use webex_events::{Client, sandbox::Sandbox};
    /// # let sandbox = Sandbox::builder().start().await?;
    /// let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
    /// assert!(client.responses().is_empty() && client.service_time().is_none());
    ///
    /// client.get("not-an-id").await.unwrap_err();
    /// assert_eq!(client.responses().get(&404), Some(&1));
    /// assert!(client.service_time().unwrap() <= sandbox.now());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sandbox"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn responses(&self) -> BTreeMap<u16, u64> {
        self.shared.response_stats.by_status()
    }

    /// The former name of [`responses`](Self::responses).
    #[deprecated(note = "renamed to `responses`")]
    #[must_use]
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        self.responses()
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
