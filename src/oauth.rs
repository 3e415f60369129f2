//! `OAuth`: access tokens that are renewed by the refresh grant, over a file.

use std::{
    fmt,
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    clock::{self, Clock},
    error::{Error, Result},
    token::{Token, TokenSource},
};

mod failure;
mod grant;
mod store;
mod tokens;

use failure::Failure;
use grant::Endpoint;
use store::{Store, Unreadable};
use tokens::{Standing, Tokens};

/// A [`TokenSource`] for an integration or a service app: it renews its access token by OAuth's refresh
/// grant (RFC 6749 section 6), and keeps both tokens in a file.
///
/// **The file** is one JSON object. `refresh_token` is all that it needs at first:
///
/// ```json
/// {
///   "access_token": "ZDI3MGEyYzQ",
///   "expires_at": "2026-02-01T09:00:00Z",
///   "refresh_token": "MDEyMzQ1Njc4",
///   "refresh_token_expires_at": "2026-05-01T09:00:00Z"
/// }
/// ```
///
/// The service's own reply will do as well, with `expires_in` instead of `expires_at`, or a file that is
/// nothing but the refresh token on one line. Members of other names stay as they are. Beside it stand
/// `FILE.lock`, always empty, and for moments `FILE.new`.
///
/// **When it renews:** when the service rejected the access token, when it has expired, and five minutes
/// before, or a tenth of its life if that is less. Where nobody said when it expires it is used until it is
/// rejected. If a renewal ahead of time fails, the token that is still good goes on being used, and after a
/// while another try is made.
///
/// **Nothing is lost:** the service may replace the refresh token with each grant, and refuse the one before.
/// So the new pair is written before its access token is used: into a file that only its owner can read
/// (mode 0600), which then takes the other's place, synced to the disk with its folder. The room for it is taken
/// before the service is asked, so that a full disk or a folder that can't be written to costs no token. If
/// writing fails all the same, the pair stays in memory and the next question tries to write it again, without
/// another grant. Only a process that is killed within the milliseconds between the reply and the file loses what
/// the reply held.
///
/// **Side by side:** clones share everything, and one grant is under way at a time. Other processes may use the
/// same file: each grant is made under a lock, and one that finds a newer token in the file uses that.
///
/// **When the grant is refused** (400, 401 or 403) that is final, and the error
/// [`is_auth`](Error::is_auth): the refresh token was revoked or replaced, has expired (90 days after
/// the last grant), or the client secret is wrong. The service isn't asked again until there is another
/// refresh token in the file.
///
/// # Cancel safety
///
/// A grant runs in a task of its own, for its reply may hold the only good refresh token. Dropping the stream
/// that waits for it doesn't stop it; whoever asks next joins it. Shutting the runtime down does, so await
/// [`renewed`](Self::renewed) before. It must be asked within a tokio runtime.
///
/// ```
/// # #[cfg(feature = "sandbox")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::TryStreamExt;
/// use webex_events::{Client, ListEvents, OAuth, sandbox::Sandbox};
///
/// let sandbox = Sandbox::builder().events(300).rotate_refresh_tokens(true).start().await?;
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("webex-token.json");
/// std::fs::write(&file, sandbox.refresh_token().unwrap())?;
///
/// let oauth = OAuth::new(sandbox.client_id(), sandbox.client_secret(), &file)?.base_url(sandbox.base_url());
/// let client = Client::builder().base_url(sandbox.base_url()).token_source(oauth.clone()).build()?;
/// let mut events = client.list(ListEvents::new().page_size(100));
/// events.try_next().await?;
///
/// sandbox.revoke_tokens(); // as time does after 14 days
/// while events.try_next().await?.is_some() {}
/// assert_eq!(events.stats().events, 300);
/// assert!(std::fs::read_to_string(&file)?.contains(&sandbox.refresh_token().unwrap()));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sandbox"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
#[must_use = "a source of tokens does nothing until a `ClientBuilder` has it"]
pub struct OAuth {
    shared: Arc<Shared>,
}

struct Shared {
    client_id: String,
    client_secret: Token,
    store: Store,
    endpoint: Mutex<Endpoint>,
    state: Mutex<State>,
    clock: Box<dyn Clock>,
}

struct State {
    /// What the file holds, as far as is known.
    held: Tokens,
    /// Whether the access token was rejected, whatever is said of its life.
    rejected: bool,
    /// What a grant brought and the file doesn't hold yet.
    unwritten: Option<Tokens>,
    /// The refusal of the refresh token that is held.
    refused: Option<Failure>,
    /// How many renewals ahead of time failed in a row, and until when there is no other.
    resting: Option<(u32, Instant)>,
    flight: Option<Flight>,
}

/// How a renewal ends; none while it is under way.
type Flight = watch::Receiver<Option<Outcome>>;
type Outcome = Result<Token, Failure>;

/// How long another process may hold the lock.
const LOCKED: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// No token lasts longer; beyond it lie times that the clock doesn't know.
const LONGEST_REST: Duration = Duration::from_secs(365 * 86_400);

impl OAuth {
    /// Reads the file at `store`. Nothing is sent.
    ///
    /// `client_id` and `client_secret` are those of the integration or service app. White space around
    /// them is cut off. The file is read here, which blocks for a moment, so that a wrong path comes to light at
    /// once.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the id or the secret is empty, or if the file is missing or isn't what it should be;
    /// [`Error::Store`] if it can't be read.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        store: impl Into<PathBuf>,
    ) -> Result<Self> {
        Self::with_clock(&client_id.into(), client_secret.into(), store.into(), Box::new(clock::System))
    }

    fn with_clock(
        client_id: &str,
        client_secret: String,
        store: PathBuf,
        clock: Box<dyn Clock>,
    ) -> Result<Self> {
        let client_id = client_id.trim().to_owned();
        let client_secret = Token::from(client_secret);
        if client_id.is_empty() {
            return Err(Error::config("the client id is empty"));
        }
        if client_secret.secret().is_empty() {
            return Err(Error::config("the client secret is empty"));
        }
        let store = Store::open(store);
        let held = store.read(clock.utc()).map_err(|unreadable| {
            let path = store.path();
            match unreadable {
                Unreadable::Missing => Error::config(format!(
                    "there is no token file {}: put the refresh token into it, alone on one line or as \
                     {{\"refresh_token\": \"…\"}}",
                    path.display()
                )),
                Unreadable::Invalid(reason) => {
                    Error::config(format!("{} isn't a token file: {reason}", path.display()))
                }
                Unreadable::Io(error) => Failure::file("read", path, error).error(),
            }
        })?;
        let shared = Shared {
            client_id,
            client_secret,
            store,
            endpoint: Mutex::new(Endpoint::new()),
            state: Mutex::new(State::new(held)),
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where grants are asked for: `https://webexapis.com/v1` unless set. `http` is allowed for a
    /// loopback host only, which the first grant checks. A redirect is never followed.
    pub fn base_url(self, url: impl Into<String>) -> Self {
        self.set(|endpoint| endpoint.base_url = url.into())
    }

    /// The proxy for grants, as a URL. Without it the system's settings hold, except for a loopback
    /// host.
    pub fn proxy(self, url: impl Into<String>) -> Self {
        self.set(|endpoint| endpoint.settings.proxy = Some(url.into()))
    }

    /// Trusts a further root certificate, in PEM form, or several in one bundle: for networks that
    /// inspect TLS. The system's are trusted as they are.
    pub fn root_certificate(self, pem: &[u8]) -> Self {
        self.set(|endpoint| endpoint.settings.root_certificates.push(pem.to_vec()))
    }

    /// When the access token in hand expires, by this machine's clock; `None` if there is none or nobody said
    /// so. For a metric, or a look at whether renewing works.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.shared.state().held.expires_at
    }

    /// Waits for the renewal that is under way, until its tokens are in the file or it has failed; if there is
    /// none, it doesn't wait. To be awaited before the runtime shuts down, which would cut it off and could
    /// lose the only good refresh token. A grant whose service doesn't answer takes its time: give it a limit.
    ///
    /// # Cancel safety
    ///
    /// Dropping this stops waiting, and not the renewal.
    pub async fn renewed(&self) {
        let flight = self.shared.state().flight.clone();
        if let Some(mut flight) = flight {
            // An error says that its task is gone, which ends it too.
            let _ = flight.wait_for(Option::is_some).await;
        }
    }

    fn set(self, change: impl FnOnce(&mut Endpoint)) -> Self {
        let mut endpoint = lock(&self.shared.endpoint);
        change(&mut endpoint);
        endpoint.ready = None;
        drop(endpoint);
        self
    }
}

impl TokenSource for OAuth {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(self.shared.ask(rejected))
    }
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("client_id", &self.shared.client_id)
            .field("store", &self.shared.store.path())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// What to do about a question.
enum Answer {
    Give(Token),
    Wait(Flight),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn ask(self: &Arc<Self>, rejected: Option<&Token>) -> Result<Token> {
        let mut flight = match self.answer(rejected) {
            Answer::Give(token) => return Ok(token),
            Answer::Wait(flight) => flight,
        };
        let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        let failure = match outcome {
            Some(Ok(token)) => return Ok(token),
            Some(Err(failure)) => failure,
            None => Failure::silent("it was cut off: the runtime is shutting down"),
        };
        // It may have been ahead of time.
        let state = self.state();
        let left =
            state.held.access.clone().filter(|token| {
                Some(token) != rejected && state.standing(self.clock.utc()) != Standing::Gone
            });
        left.ok_or_else(|| failure.error())
    }

    /// Answers from memory, or joins the renewal under way, or begins one.
    fn answer(self: &Arc<Self>, rejected: Option<&Token>) -> Answer {
        let mut state = self.state();
        state.rejected |= rejected.is_some() && rejected == state.held.access.as_ref();
        // One whose task is gone without a word was cut off with its runtime.
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Answer::Wait(flight.clone());
        }
        if let Some(token) = state.usable(self.clock.utc(), self.clock.now()) {
            return Answer::Give(token);
        }
        let (arrived, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = shared.renew().await;
            shared.state().landed(&outcome, shared.clock.now());
            arrived.send_replace(Some(outcome));
        });
        Answer::Wait(flight)
    }

    /// Gets a token from the file or the service. Only one of this is under way at a time.
    async fn renew(self: &Arc<Self>) -> Outcome {
        let lock = self.locked().await?;
        match self.blocking(|shared| Ok(shared.store.read(shared.clock.utc()))).await? {
            Ok(tokens) => self.state().found(tokens),
            // Better to go on with what is known, and to put it back.
            Err(Unreadable::Missing) => {
                tracing::warn!("the token file {} is gone", self.store.path().display());
            }
            Err(Unreadable::Invalid(reason)) => {
                tracing::warn!("{} isn't a token file any more: {reason}", self.store.path().display());
            }
            Err(Unreadable::Io(error)) => return Err(Failure::file("read", self.store.path(), error)),
        }
        let (held, unwritten) = {
            let state = self.state();
            if let Some(token) = state.fresh(self.clock.utc()) {
                return Ok(token);
            }
            match (&state.unwritten, &state.refused) {
                (None, Some(refused)) => return Err(refused.clone()),
                (unwritten, _) => (state.held.clone(), unwritten.clone()),
            }
        };
        let base = unwritten.clone().unwrap_or_else(|| held.clone());
        let draft = self.blocking(move |shared| shared.store.reserve(&base)).await?;
        let tokens = match unwritten {
            Some(tokens) => tokens,
            None => self.granted(&held).await?,
        };
        let written = tokens.clone();
        self.blocking(move |_| draft.commit(&written)).await?;
        drop(lock);
        tracing::debug!(expires_at = ?tokens.expires_at, "the access token was renewed");
        self.state().written(tokens)
    }

    /// New tokens from the service, which are remembered until the file has them.
    async fn granted(&self, held: &Tokens) -> Result<Tokens, Failure> {
        let endpoint = lock(&self.endpoint).ready()?;
        let client = (&*self.client_id, &self.client_secret);
        let tokens = grant::ask(endpoint, client, held, &*self.clock).await?;
        self.state().unwritten = Some(tokens.clone());
        Ok(tokens)
    }

    /// The lock that keeps other processes out, as long as it isn't dropped.
    async fn locked(self: &Arc<Self>) -> Result<File, Failure> {
        let file = self.blocking(|shared| shared.store.lock_file()).await?;
        let start = self.clock.now();
        // A thread that waited for the lock could not be stopped.
        while !self.store.try_lock(&file)? {
            if self.clock.now().saturating_duration_since(start) >= LOCKED {
                let path = self.store.path().display();
                return Err(Failure::silent(format!("another process doesn't give up the lock of {path}")));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
        Ok(file)
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|error| Err(Failure::silent(error)))
    }
}

impl State {
    fn new(held: Tokens) -> Self {
        Self { held, rejected: false, unwritten: None, refused: None, resting: None, flight: None }
    }

    fn standing(&self, now: DateTime<Utc>) -> Standing {
        if self.rejected { Standing::Gone } else { self.held.standing(now) }
    }

    /// The access token, if there is no need to renew it or no use in trying.
    fn usable(&self, utc: DateTime<Utc>, now: Instant) -> Option<Token> {
        let due = self.unwritten.is_some() || self.standing(utc) == Standing::Due;
        let resting = self.refused.is_some() || self.resting.is_some_and(|(_, until)| now < until);
        let usable = self.standing(utc) != Standing::Gone && (!due || resting);
        self.held.access.clone().filter(|_| usable)
    }

    /// The access token, if there is nothing to be renewed or written.
    fn fresh(&self, utc: DateTime<Utc>) -> Option<Token> {
        let fresh = self.unwritten.is_none() && self.standing(utc) == Standing::Good;
        self.held.access.clone().filter(|_| fresh)
    }

    /// Takes over what another process, or a person, has put into the file.
    fn found(&mut self, tokens: Tokens) {
        // One that was written without being synced is still to be written.
        if tokens.same_as(&self.held) || self.unwritten.as_ref().is_some_and(|ours| tokens.same_as(ours)) {
            return;
        }
        if tokens.refresh != self.held.refresh {
            self.unwritten = None;
            self.refused = None;
        }
        self.rejected &= tokens.access == self.held.access;
        self.held = tokens;
    }

    /// The file holds these now.
    fn written(&mut self, tokens: Tokens) -> Outcome {
        self.held = tokens;
        self.rejected = false;
        self.unwritten = None;
        self.refused = None;
        self.held.access.clone().ok_or_else(|| Failure::silent("the reply holds no access token"))
    }

    fn landed(&mut self, outcome: &Outcome, now: Instant) {
        self.flight = None;
        let Err(failure) = outcome else {
            self.resting = None;
            return;
        };
        if failure.is_final() {
            self.refused = Some(failure.clone());
        }
        let times = self.resting.map_or(0, |(times, _)| times);
        let rest = rest(times).max(failure.retry_after().unwrap_or_default()).min(LONGEST_REST);
        self.resting = now.checked_add(rest).map(|until| (times.saturating_add(1), until));
        let error = failure.error();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(source, "no new access token: {error}");
    }
}

/// How long there is no other renewal ahead of time after so many that failed, and one more.
fn rest(times: u32) -> Duration {
    Duration::from_secs(30).saturating_mul(1 << times.min(4)).min(Duration::from_secs(300))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
