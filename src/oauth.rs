//! `OAuth`: access tokens that are renewed by the refresh grant, over a file.
//!
//! Each request for a token gets it from [`TokenState`] or waits for a renewal. At most one renewal is in
//! progress. It runs in a thread of its own, because the reply to a grant can hold the only good refresh token, and
//! a runtime of the user's can stop at any await.
//!
//! A renewal takes the lock, reads the file, and then follows this table until it is done. An access token is
//! *good*, *due* (it expires soon) or *unusable* (expired, rejected, or missing).
//!
//! | phase of the tokens | event | action |
//! |---|---|---|
//! | any | a request, the access token is good | give it; no renewal |
//! | stored | a request, the access token is due | renew; give it if that fails, and don't renew again for 30 s to 5 min |
//! | stored | a request, the access token is unusable | renew; if that fails, the request fails |
//! | unstored | a request | renew, which stores the granted tokens without another grant; if that fails, as above |
//! | refused | a request, the access token is due | give it |
//! | refused | a request, the access token is unusable | renew, which looks for other tokens in the file; if there are none, the request fails |
//! | any | the file holds another refresh token | use the file's tokens, keep the ones before as *previous*: stored |
//! | any | the file holds only another access token | use it; the phase stays |
//! | any | the file is missing or damaged | continue with the tokens in memory |
//! | stored | renewal, the access token isn't good | rehearse the commit with the file's own text, then request a grant |
//! | stored | the rehearsal fails | fail; no grant was requested, so no token is lost |
//! | stored | the grant succeeds | unstored, then store |
//! | stored | an unusable reply holds a new refresh token | unstored, then store it; fail |
//! | stored | the grant is refused (400, 401, 403), and there are previous tokens | use the previous tokens; the new phase is stored if they came from the file, else unstored |
//! | stored | the grant is refused, and there are none | refused; fail |
//! | stored | the grant fails in another way | fail; the next request renews again |
//! | unstored | the file is written | stored; forget the previous tokens |
//! | unstored | writing fails | fail; the granted tokens stay in memory |
//!
//! The order in a renewal follows from what a crash may cost. The file is written before the access token is used,
//! because the service may have voided the refresh token before. The rehearsal comes before the grant, because a
//! grant can't be taken back.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;

use crate::{
    clock::{self, Clock},
    error::{Error, Result},
    token::{Token, TokenSource},
    transport::HttpService,
};

mod disk;
mod grant;
mod login;
mod renewal_error;
mod renewer;
mod state;
mod store;
mod tokens;

use disk::SystemDisk;
use grant::GrantEndpoint;
pub use login::{CodeLogin, DeviceLogin, OAuthLogin};
use renewal_error::RenewalError;
use renewer::Renewer;
use state::TokenState;
use store::{ReadError, TokenStore};

/// A [`TokenSource`] for an integration or a service app. It renews its access token by OAuth's refresh grant
/// (RFC 6749 section 6), and keeps both tokens in a file.
///
/// # The file
///
/// The file is one JSON object. [`OAuthLogin`] makes it, but at first only `refresh_token` is needed:
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
/// The service's own reply is accepted too, with `expires_in` instead of `expires_at`, and so is a file with only
/// the refresh token on one line. Members with other names are kept. Next to the file are `FILE.lock`, which is
/// always empty, and for moments `FILE.new`.
///
/// # When it renews
///
/// The access token is renewed when the service rejects it, when it has expired, and five minutes before (or a tenth
/// of its lifetime, if that is less). A token without a known expiry is used until it is rejected. If a renewal ahead
/// of time fails, the token that is still valid stays in use, and the renewal is repeated after 30 s to 5 min.
///
/// # Guarantees
///
/// The service may replace the refresh token with each grant, and refuse the one before. Therefore:
///
/// - The new tokens are in the file before the access token is used: in a temporary file that only its owner can
///   read (mode 0600), synced to the disk, which then replaces the file; the folder is synced too.
/// - Before a grant is requested, the whole commit is rehearsed with the present content of the file, and the room
///   for the new content is taken. A full disk, a folder that can't be written to or a file that can't be replaced
///   costs no token: the error is [`Error::Store`], and nothing was sent.
/// - If writing fails all the same, the new tokens stay in memory. The next request for a token writes them, without
///   another grant.
/// - If the reply holds a new refresh token but no usable access token, the refresh token is stored first.
/// - If the refresh token in the file was replaced by one that the service refuses, the last one that worked is used
///   again.
///
/// Only a process that is killed within the milliseconds between the reply and the file loses the new tokens.
///
/// # Containers
///
/// Mount the *folder* of the token file, not the file. A file that is mounted by itself can't be replaced; neither
/// can another user's file in a sticky folder such as `/tmp`, or a file in a folder that isn't writable. `OAuth`
/// then overwrites the file in place: in one write, padded with spaces, without truncating it first, followed by a
/// sync. A crash of the machine in that instant can lose both tokens. The file itself is locked there, so that
/// containers that mount the same file take turns; its mode stays as it is.
///
/// # Several processes
///
/// Clones share everything, and at most one grant is in progress. Other processes may use the same file: each grant
/// is requested under a lock, and a process that finds newer tokens in the file uses these.
///
/// # A refused grant
///
/// A grant that is refused (400, 401 or 403) is final, and the error is [`is_auth`](Error::is_auth): the refresh
/// token was revoked or replaced, has expired (90 days after the last grant), or the client secret is wrong. No other
/// grant is requested until there is another refresh token in the file.
///
/// # Cancel safety
///
/// A renewal runs in a thread of its own, with its own runtime. Dropping the stream that waits for it, or stopping the
/// runtime that began it, doesn't stop it; the next request for a token joins it, from any runtime. The end of the
/// process does stop it, so await [`renewed`](Self::renewed) before.
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
    renewer: Arc<Renewer>,
}

impl OAuth {
    /// Reads the file at `store`. Nothing is sent.
    ///
    /// `client_id` and `client_secret` are those of the integration or service app. White space around them is
    /// removed. A relative path is resolved now: changing the working directory later has no effect. Reading the
    /// file blocks for a moment.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the id, the secret or the path is empty, or if the file is missing or isn't a token file;
    /// [`Error::Store`] if it can't be read.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        store: impl Into<PathBuf>,
    ) -> Result<Self> {
        let store = TokenStore::open(&store.into(), Box::new(SystemDisk));
        Self::with(&client_id.into(), client_secret.into(), store, Box::new(clock::System))
    }

    fn with(
        client_id: &str,
        client_secret: String,
        store: io::Result<TokenStore>,
        clock: Box<dyn Clock>,
    ) -> Result<Self> {
        let (client_id, client_secret) = credentials(client_id, client_secret)?;
        let store = store.map_err(|error| unresolved(&error))?;
        let (held, _) = store.read(clock.utc()).map_err(|error| unread(&store, error))?;
        let renewer = Renewer {
            client_id,
            client_secret,
            store,
            endpoint: Mutex::new(GrantEndpoint::new()),
            state: Mutex::new(TokenState::new(held)),
            clock,
        };
        Ok(Self { renewer: Arc::new(renewer) })
    }

    /// Removes the token file at `store` and the files beside it (`FILE.lock`, `FILE.new`). Returns false if there is
    /// no such file. Nothing is sent: the service accepts the tokens until they expire or are revoked there.
    ///
    /// A process that still uses the file writes it again with its next renewal, so stop it before.
    ///
    /// ```
    /// # fn main() -> webex_events::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let file = folder.path().join("webex-token.json");
    /// std::fs::write(&file, "MDEyMzQ1Njc4").unwrap();
    /// assert!(webex_events::OAuth::remove(&file)?);
    /// assert!(!webex_events::OAuth::remove(&file)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the path is empty, or if the file isn't a token file, which is then left as it is;
    /// [`Error::Store`] if it can't be read or removed, or if another process is renewing its tokens.
    pub fn remove(store: impl Into<PathBuf>) -> Result<bool> {
        let store =
            TokenStore::open(&store.into(), Box::new(SystemDisk)).map_err(|error| unresolved(&error))?;
        match store.read(Utc::now()) {
            Ok(_) => {}
            Err(ReadError::Missing) => return Ok(false),
            Err(error) => return Err(unread(&store, error)),
        }
        let lock = store.try_lock().map_err(|error| error.error())?.ok_or_else(|| busy(&store))?;
        store.remove(lock).map_err(|error| error.error())?;
        Ok(true)
    }

    /// Sets the base URL for grants: `https://webexapis.com/v1` unless set. `http` is allowed for a loopback host
    /// only, which the first grant checks. A redirect is never followed.
    pub fn base_url(self, url: impl Into<String>) -> Self {
        self.set(|endpoint| endpoint.base_url = url.into())
    }

    /// Sets the proxy for grants, as a URL. Without it the system's settings hold, except for a loopback host.
    pub fn proxy(self, url: impl Into<String>) -> Self {
        self.set(|endpoint| endpoint.settings.proxy = Some(url.into()))
    }

    /// Trusts a further root certificate in PEM form, or several in one bundle: for networks that inspect TLS. The
    /// system's certificates stay trusted.
    pub fn root_certificate(self, pem: &[u8]) -> Self {
        self.set(|endpoint| endpoint.settings.root_certificates.push(pem.to_vec()))
    }

    /// Sends grants through this service instead of the built-in HTTP client: the same as the client's, for one that
    /// has a [`ClientBuilder::http_service`](crate::ClientBuilder::http_service).
    pub fn http_service(self, service: impl HttpService) -> Self {
        self.set(|endpoint| endpoint.settings.http_service = Some(Arc::new(service)))
    }

    /// Returns when the present access token expires, by this machine's clock; `None` if there is no token or its
    /// expiry is unknown. Use it for a metric, or to check that renewals work.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.renewer.state().expires_at()
    }

    /// Waits for the renewal in progress, until its tokens are in the file or it has failed. If there is none, it
    /// returns immediately. Await it before the process ends, which would stop the renewal and could lose the only
    /// good refresh token. A service that doesn't respond can take minutes: use a timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future stops waiting, not the renewal.
    pub async fn renewed(&self) {
        let pending = self.renewer.state().pending.clone();
        if let Some(mut pending) = pending {
            // An error says that its thread has ended, and so has the renewal.
            let _ = pending.wait_for(Option::is_some).await;
        }
    }

    fn set(self, change: impl FnOnce(&mut GrantEndpoint)) -> Self {
        change(&mut self.renewer.endpoint());
        self
    }
}

impl TokenSource for OAuth {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(self.renewer.token(rejected))
    }
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("client_id", &self.renewer.client_id)
            .field("store", &self.renewer.store.path())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// The client id and secret, without the white space around them.
fn credentials(id: &str, secret: String) -> Result<(String, Token)> {
    let (id, secret) = (id.trim().to_owned(), Token::from(secret));
    if id.is_empty() {
        return Err(Error::config("the client id is empty"));
    }
    if secret.secret().is_empty() {
        return Err(Error::config("the client secret is empty"));
    }
    Ok((id, secret))
}

fn unresolved(error: &io::Error) -> Error {
    Error::config(format!("the token file can't be used: {error}"))
}

fn unread(store: &TokenStore, error: ReadError) -> Error {
    let path = store.path();
    match error {
        ReadError::Missing => Error::config(format!(
            "there is no token file {}: put the refresh token into it, alone on one line or as \
             {{\"refresh_token\": \"…\"}}",
            path.display()
        )),
        ReadError::Invalid(reason) => {
            Error::config(format!("{} isn't a token file: {reason}", path.display()))
        }
        ReadError::Io(error) => RenewalError::file("read", path, error).error(),
    }
}

fn busy(store: &TokenStore) -> Error {
    let detail = format!("the token file {} is locked by another process", store.path().display());
    Error::Store { detail: detail.into(), source: io::Error::from(io::ErrorKind::ResourceBusy).into() }
}

#[cfg(test)]
mod tests;
