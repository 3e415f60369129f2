//! The settings of a sandbox.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

use super::{
    Sandbox,
    clock::SandboxClock,
    faults::InjectedFaults,
    log::Log,
    oauth::{IssuedTokens, TokenSettings},
    query::Bounds,
    service::{SandboxParts, SandboxState, ServiceOptions, serve},
    start_error::{StartError, StartErrorKind},
    store::{Store, StoreSpec},
};
use crate::error::Result;

const MONTH: i64 = 30 * 24 * 3_600_000;
/// The numbers of events fit into 32 bits, with room for events that are pushed.
const MOST_EVENTS: usize = 100_000_000;

/// Sets a [`Sandbox`] up.
///
/// | setting | default |
/// |---|---|
/// | [`addr`](Self::addr) | 127.0.0.1, a free port |
/// | [`events`](Self::events) | 1,000 |
/// | [`late_events`](Self::late_events) | 0 |
/// | [`seed`](Self::seed) | 0 |
/// | [`period`](Self::period) | the 30 days up to the start |
/// | [`shuffled`](Self::shuffled) | no: newest first |
/// | [`now`](Self::now) | the system's time |
/// | [`bounds`](Self::bounds) | [`Bounds::HalfOpen`] |
/// | [`retention`](Self::retention) | no limit |
/// | [`gzip`](Self::gzip) | off |
/// | [`log_capacity`](Self::log_capacity) | 1,000 requests |
/// | [`token_lifetime`](Self::token_lifetime) | 14 days |
/// | [`rotate_refresh_tokens`](Self::rotate_refresh_tokens) | no |
/// | faults | none |
///
/// ```
/// # use std::time::Duration;
/// # use webex_events::sandbox::{Response, Sandbox, When};
/// # async fn example() -> webex_events::Result<()> {
/// let sandbox = Sandbox::builder()
///     .events(10_000)
///     .rate_limit(300, Duration::from_secs(60))
///     .fail(When::chance(0.01), Response::status(503).retry_after(2))
///     .latency(When::always(), Duration::from_millis(1))
///     .start()
///     .await?;
/// assert_eq!(sandbox.event_ids().len(), 10_000);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SandboxBuilder {
    address: SocketAddr,
    events: usize,
    late: usize,
    seed: u64,
    period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    shuffled: bool,
    now: Option<DateTime<Utc>>,
    options: ServiceOptions,
    log_capacity: usize,
    oauth: TokenSettings,
    pub(super) faults: InjectedFaults,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            events: 1000,
            late: 0,
            seed: 0,
            period: None,
            shuffled: false,
            now: None,
            options: ServiceOptions::default(),
            log_capacity: 1000,
            oauth: TokenSettings::default(),
            faults: InjectedFaults::default(),
        }
    }
}

impl SandboxBuilder {
    /// Sets the address to listen on, which must be a loopback address. Port 0 is any free port.
    pub fn addr(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the number of events at the start. The newest 21 have each pair of resource and type once; about a
    /// third of the others are new messages.
    pub fn events(mut self, count: usize) -> Self {
        self.events = count;
        self
    }

    /// Sets the number of further events that no list has yet, spread over the same period.
    /// [`Sandbox::release_late`] and [`late_every`](Self::late_every) let them arrive.
    pub fn late_events(mut self, count: usize) -> Self {
        self.late = count;
        self
    }

    /// Sets the seed that determines everything random. The same seed with the same settings gives the same
    /// events, byte for byte, if [`period`](Self::period) or [`now`](Self::now) is set; otherwise
    /// everything except the times is the same.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the period in which the events are created: spread evenly from `from` (included) to `to` (excluded),
    /// about one in eight at the same millisecond as another.
    ///
    /// Events with a time that the sandbox's clock hasn't reached aren't in its lists. So with a period
    /// that reaches into the future, events arrive as time passes.
    pub fn period(mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        self.period = Some((from, to));
        self
    }

    /// If true, lists events in a random order, the same in each list, instead of newest
    /// first. The service doesn't document its order. A page of a narrow window then takes longer.
    pub fn shuffled(mut self, shuffled: bool) -> Self {
        self.shuffled = shuffled;
        self
    }

    /// Stops the clock at this time, until [`Sandbox::set_now`] or
    /// [`Sandbox::advance`]. [`Sandbox::set_now`] lists what depends on the clock.
    pub fn now(mut self, now: DateTime<Utc>) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets whether `from` and `to` include their instants. For the real service this is unknown.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.options.bounds = bounds;
        self
    }

    /// Refuses a list with an earlier `from` than this many days ago with a 403, as the service does after 90 days
    /// for an organization without the Pro Pack. A list without `from` still has all events.
    pub fn retention(mut self, days: u32) -> Self {
        self.options.retention = Some(days);
        self
    }

    /// If true, compresses the responses to requests that accept gzip.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.options.gzip = gzip;
        self
    }

    /// Sets the number of requests that [`Sandbox::requests`] returns at most.
    pub fn log_capacity(mut self, requests: usize) -> Self {
        self.log_capacity = requests;
        self
    }

    /// Sets the access token that is accepted from the start. By default one is generated.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.oauth.token = Some(token.into());
        self
    }

    /// Sets the lifetime of each access token, including the first, by the sandbox's clock. The
    /// `expires_in` of a grant has its whole seconds.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.oauth.lifetime = lifetime;
        self
    }

    /// Sets the client id and secret that a refresh grant must have. By default they are
    /// `sandbox-client` and `sandbox-secret`.
    pub fn oauth_client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.oauth.client_id = id.into();
        self.oauth.client_secret = secret.into();
        self
    }

    /// Sets the refresh token that is valid at the start. By default one is generated.
    pub fn refresh_token(mut self, token: impl Into<String>) -> Self {
        self.oauth.refresh_token = Some(token.into());
        self
    }

    /// If true, each grant replaces the refresh token, and the previous one is refused from then on.
    /// Reports about the real service differ.
    pub fn rotate_refresh_tokens(mut self, rotate: bool) -> Self {
        self.oauth.rotate = rotate;
        self
    }

    /// Generates the events and starts to serve. A million events take a few seconds and about a gigabyte of memory.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the address isn't a loopback address or can't be listened on, if
    /// the period is empty, or if there are more than 100 million events. [`try_start`](Self::try_start) returns an
    /// error that tells these apart.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime with I/O and time enabled.
    pub async fn start(self) -> Result<Sandbox> {
        Ok(self.try_start().await?)
    }

    /// Does the same as [`start`](Self::start), with an error that says which setting is wrong.
    ///
    /// ```
    /// use webex_events::sandbox::{Sandbox, StartErrorKind};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> webex_events::Result<()> {
    /// let one = Sandbox::builder().start().await?;
    /// let taken = Sandbox::builder().addr(one.local_addr()).try_start().await;
    /// assert_eq!(taken.unwrap_err().kind(), StartErrorKind::Listen);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`StartError`], whose [`kind`](StartError::kind) is the setting.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime with I/O and time enabled.
    pub async fn try_start(self) -> Result<Sandbox, StartError> {
        if !self.address.ip().is_loopback() {
            let reason = format!("a sandbox listens on a loopback address only: {}", self.address);
            return Err(StartError::new(StartErrorKind::Address, reason));
        }
        let clock = SandboxClock::new(self.now.map(|now| now.timestamp_millis()));
        let plan = self.plan(clock.now())?;
        let failed = |error| StartError::listen(format!("a sandbox can't listen on {}", self.address), error);
        let listener = TcpListener::bind(self.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let store = tokio::task::spawn_blocking(move || Store::generate(&plan)).await.map_err(|error| {
            StartError::new(StartErrorKind::Events, format!("a sandbox can't generate its events: {error}"))
        })?;
        let tokens = IssuedTokens::new(self.oauth, self.seed, clock.now());
        let token = tokens.newest().unwrap_or_default().to_owned();
        let state = Arc::new(SandboxState::new(SandboxParts {
            address,
            seed: self.seed,
            options: self.options,
            clock,
            store,
            faults: self.faults,
            tokens,
            log: Log::new(self.log_capacity),
        }));
        let server = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Ok(Sandbox { state, token, server })
    }

    fn plan(&self, now: i64) -> Result<StoreSpec, StartError> {
        let period = match self.period {
            Some((from, to)) if from.timestamp_millis() < to.timestamp_millis() => {
                from.timestamp_millis()..to.timestamp_millis()
            }
            Some((from, to)) => {
                let reason = format!("a sandbox's period must not be empty: {from} to {to}");
                return Err(StartError::new(StartErrorKind::Period, reason));
            }
            None => now.saturating_sub(MONTH)..now,
        };
        let number = |count: usize| u32::try_from(count.min(MOST_EVENTS)).unwrap_or(u32::MAX);
        if self.events.saturating_add(self.late) > MOST_EVENTS {
            let events = self.events.saturating_add(self.late);
            let reason = format!("a sandbox has at most {MOST_EVENTS} events, not {events}");
            return Err(StartError::new(StartErrorKind::Events, reason));
        }
        Ok(StoreSpec {
            seed: self.seed,
            events: number(self.events),
            late: number(self.late),
            period,
            shuffled: self.shuffled,
        })
    }
}
