//! `OAuthLogin`: the grants that give the first tokens.

use std::{fmt, io, path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use http::{HeaderValue, header::CONTENT_TYPE};

use super::{
    OAuth, credentials,
    disk::SystemDisk,
    grant::{self, GrantEndpoint, Secrets},
    renewer::locked,
    store::{PreparedCommit, ReadError, StoreLock, TokenStore},
    tokens::Tokens,
    unread, unresolved,
};
use crate::{
    clock::{self, Clock},
    error::{DecodeError, Error, Result},
    token::Token,
    transport::{CompleteResponse, HttpService},
};

mod code;
mod device;

pub use self::{code::CodeLogin, device::DeviceLogin};

/// The scope of the events API.
const SCOPE: &str = "spark-compliance:events_read";

/// Gets the first tokens of an integration, with a user's permission, and stores them in the file that [`OAuth`]
/// renews them in.
///
/// [`by_code`](Self::by_code) sends the user to a page in a browser: the authorization code grant (RFC 6749 section
/// 4.1) with PKCE (RFC 7636) and `state`. [`by_device`](Self::by_device) is for machines without a browser: the user
/// opens a page on another device and enters a short code there (RFC 8628). Both are as the service documents them in
/// "Login with Webex" (developer.webex.com/docs/login-with-webex).
///
/// The user must have the role of a compliance officer, and the integration the requested scope.
///
/// # The file
///
/// The tokens are stored as [`OAuth`] stores them, under its lock: the file is replaced atomically, and only its owner
/// can read it (mode 0600). It can exist already, as a token file or empty; members with other names are kept. A login
/// that fails leaves it as it is. Whether it can be written is checked before the user is sent to a page, and again
/// before a code is exchanged.
///
/// # Where secrets are sent
///
/// The code, the verifier and the client secret go to the base URL only. No redirect is followed, and no error shows
/// them.
///
/// ```
/// # #[cfg(feature = "sandbox")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webex_events::{Client, OAuthLogin, sandbox::Sandbox};
///
/// let sandbox = Sandbox::builder().events(10).start().await?;
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("webex-token.json");
/// let login = OAuthLogin::new(sandbox.client_id(), sandbox.client_secret(), &file)?
///     .base_url(sandbox.base_url())
///     .by_code("http://127.0.0.1:8930/callback")?;
///
/// println!("open {}", login.url());
/// // … the browser is redirected to http://127.0.0.1:8930/callback?code=…&state=… …
/// # let page = url::Url::parse(login.url())?;
/// # let form = format!("{}&decision=allow", page.query().unwrap());
/// # let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
/// # let request = browser.post(format!("{}/authorize", sandbox.base_url())).body(form);
/// # let response = request.header("content-type", "application/x-www-form-urlencoded").send().await?;
/// # let redirected = response.headers()["location"].to_str()?.to_owned();
/// let oauth = login.finish(&redirected).await?;
///
/// let client = Client::builder().base_url(sandbox.base_url()).token_source(oauth).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sandbox"))]
/// # fn main() {}
/// ```
#[must_use = "a login does nothing until it is begun with `by_code` or `by_device`"]
pub struct OAuthLogin {
    client_id: String,
    client_secret: Token,
    store: TokenStore,
    endpoint: GrantEndpoint,
    scope: String,
    clock: Box<dyn Clock>,
}

impl OAuthLogin {
    /// Checks the arguments and the file at `store`. Nothing is sent.
    ///
    /// `client_id` and `client_secret` are those of the integration. White space around them is removed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the id, the secret or the path is empty, or if the file exists, has a content and isn't a
    /// token file; [`Error::Store`] if it can't be read or written.
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
        let login = Self {
            client_id,
            client_secret,
            store,
            endpoint: GrantEndpoint::new(),
            scope: SCOPE.to_owned(),
            clock,
        };
        // A process that renews tokens has the lock only for moments, and is checking the same.
        if let Some(mut lock) = login.store.try_lock().map_err(|error| error.error())? {
            login.prepare(&mut lock)?;
        }
        Ok(login)
    }

    /// Sets the base URL of the service: `https://webexapis.com/v1` unless set. `http` is allowed for a loopback host
    /// only.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint.base_url = url.into();
        self
    }

    /// Sets the scopes to request, separated by spaces: `spark-compliance:events_read` unless set. The integration must
    /// have each of them.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Sets the proxy, as [`OAuth::proxy`] does.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.endpoint.settings.proxy = Some(url.into());
        self
    }

    /// Trusts a further root certificate, as [`OAuth::root_certificate`] does.
    pub fn root_certificate(mut self, pem: &[u8]) -> Self {
        self.endpoint.settings.root_certificates.push(pem.to_vec());
        self
    }

    /// Sends requests through this service, as [`OAuth::http_service`] does.
    pub fn http_service(mut self, service: impl HttpService) -> Self {
        self.endpoint.settings.http_service = Some(Arc::new(service));
        self
    }

    /// Begins a login in a browser. Nothing is sent.
    ///
    /// `redirect_uri` is one that is registered for the integration, byte for byte. For a program on the user's
    /// machine it is a loopback address with a fixed port, such as `http://127.0.0.1:8930/callback` (RFC 8252 section
    /// 7.3), on which the program listens before it shows [`CodeLogin::url`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the redirect URI isn't `https` or `http` on a loopback host, or has a query or fragment, or
    /// if the base URL is invalid.
    pub fn by_code(self, redirect_uri: impl Into<String>) -> Result<CodeLogin> {
        CodeLogin::new(self, redirect_uri.into())
    }

    /// Begins a login on another device: requests the code that the user enters there.
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the service refuses it (the client id or a scope is wrong), [`Error::Transport`] without a
    /// response, [`Error::Decode`] for an unusable one, [`Error::Config`] for an invalid setting. Nothing is retried.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the request.
    pub async fn by_device(self) -> Result<DeviceLogin> {
        DeviceLogin::request(self).await
    }

    /// Makes sure that tokens can be stored, and returns those that the file has now.
    fn prepare(&self, lock: &mut StoreLock) -> Result<(PreparedCommit, Option<Tokens>)> {
        let prepared = match self.store.read(self.clock.utc()) {
            Ok((former, text)) => self.store.rehearse(lock, &text).map(|commit| (commit, Some(former))),
            Err(ReadError::Missing) => self.store.prepare_new().map(|commit| (commit, None)),
            Err(ReadError::Invalid(_)) if self.store.is_empty() => {
                self.store.prepare_new().map(|commit| (commit, None))
            }
            Err(error) => return Err(unread(&self.store, error)),
        };
        prepared.map_err(|error| error.error())
    }

    async fn lock(&self) -> Result<StoreLock> {
        let lock = locked(&self.store, &*self.clock).await.map_err(|error| error.error())?;
        lock.ok_or_else(|| super::busy(&self.store))
    }

    /// Sends a form to a path of the service. The time is that of the request.
    async fn post(
        &self,
        path: &str,
        form: String,
        authorization: Option<&HeaderValue>,
        secrets: &Secrets,
    ) -> Result<(CompleteResponse, DateTime<Utc>)> {
        let url = self.endpoint.url(path)?;
        let transport = self.endpoint.transport(&url)?;
        let sent_at = self.clock.utc();
        let mask = |text: &str| secrets.hide(text);
        let response = transport.post_form(&url, form, authorization, &*self.clock, mask).await;
        let response = response.map_err(|interrupted| interrupted.error)?;
        tracing::debug!(path = url.path(), status = response.status, "response to a login");
        Ok((response, sent_at))
    }

    /// Stores the tokens of a response.
    async fn store(
        self,
        (response, sent_at): (CompleteResponse, DateTime<Utc>),
        secrets: &Secrets,
        prepared: Option<(StoreLock, PreparedCommit, Option<Tokens>)>,
    ) -> Result<OAuth> {
        let (mut lock, commit, former) = if let Some(prepared) = prepared {
            prepared
        } else {
            let mut lock = self.lock().await?;
            let (commit, former) = self.prepare(&mut lock)?;
            (lock, commit, former)
        };
        let tokens = Tokens::issued(&response.body, sent_at, former.as_ref())
            .map_err(|reason| unusable(&response, secrets, reason))?;
        self.store.commit(&mut lock, commit, &tokens).map_err(|error| error.error())?;
        drop(lock);
        let Self { client_id, client_secret, store, endpoint, clock, .. } = self;
        let oauth = OAuth::with(&client_id, client_secret.secret().to_owned(), Ok(store), clock)?;
        Ok(oauth.set(|default| *default = endpoint))
    }

    /// The credentials of the client for HTTP's Basic authentication (RFC 7617), which are a secret.
    fn basic(&self) -> Result<(HeaderValue, Token)> {
        use base64::engine::general_purpose::STANDARD;
        let credentials = STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret.secret()));
        let mut header = HeaderValue::try_from(format!("Basic {credentials}"))
            .map_err(|_| Error::config("the client id and secret can't be sent in a header"))?;
        header.set_sensitive(true);
        Ok((header, credentials.into()))
    }
}

impl fmt::Debug for OAuthLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthLogin")
            .field("client_id", &self.client_id)
            .field("store", &self.store.path())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The error for a 200 that doesn't hold what it should.
fn unusable(response: &CompleteResponse, secrets: &Secrets, reason: &str) -> Error {
    let text = |text: Option<&str>| text.map(|text| secrets.hide(text).into());
    let content_type = text(response.header(CONTENT_TYPE.as_str()));
    let tracking_id = text(response.tracking_id().as_deref());
    let body = secrets.hide(&String::from_utf8_lossy(&response.body));
    DecodeError::new(200, content_type, tracking_id, &body, reason.to_owned()).into()
}

/// The error for another status than 200.
fn refused(response: &CompleteResponse, secrets: &Secrets) -> Error {
    grant::refusal(response, secrets).into()
}

/// 256 bits that nobody can guess, as text.
fn secret() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::config(format!("the system gives no random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
