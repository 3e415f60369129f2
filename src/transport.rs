//! One GET, or one POST of a form: status, headers, body. The only file that names the HTTP client.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::redirect;
use tokio::time::{self, Instant as Deadline};
use url::Url;

use crate::{
    buffer_pool::BufferPool,
    clock::Clock,
    error::{DecodeError, Error, Result, TransportError},
    mask::Mask,
    token::Token,
};

/// What a client is told about its transport.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_page_bytes: usize,
    pub(crate) user_agent: String,
    pub(crate) gzip: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) proxy: Option<String>,
    pub(crate) root_certificates: Vec<Vec<u8>>,
    /// Whether redirects within the origin are followed.
    pub(crate) redirects: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(600),
            max_page_bytes: 64 << 20,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            gzip: true,
            headers: Vec::new(),
            proxy: None,
            root_certificates: Vec::new(),
            redirects: true,
        }
    }
}

/// Header values and proxy addresses can hold secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("max_page_bytes", &self.max_page_bytes)
            .field("user_agent", &self.user_agent)
            .field("gzip", &self.gzip)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("proxy", &self.proxy.is_some())
            .field("root_certificates", &self.root_certificates.len())
            .field("redirects", &self.redirects)
            .finish()
    }
}

pub(crate) struct Transport {
    http: reqwest::Client,
    read_timeout: Duration,
    attempt_timeout: Duration,
    max_page_bytes: usize,
    /// Where the buffers of bodies come from.
    pub(crate) buffers: Arc<BufferPool>,
}

/// Called with a status and headers before the body is read: what they ask for holds even if the body never ends.
pub(crate) type OnHead<'a> = &'a (dyn Fn(u16, &HeaderMap) + Sync);

/// A whole answer, of whatever status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Where it came from, redirects followed.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// When the request was sent, and how long it was until the head was there.
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
}

const TOO_LONG: &str = "the service took too long";

/// What may wait unread on a connection of HTTP/2 (RFC 9113 section 6.9): the most there is, for each stream has
/// a window of its own. A stream that isn't polled must hold up no other on the same connection.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Of an error's body no more than this is read.
const ERROR_BODY: usize = 64 << 10;

impl Transport {
    /// `direct` keeps the system's proxy settings out, for a service on this very machine.
    pub(crate) fn new(settings: &Settings, direct: bool) -> Result<Self> {
        let redirects = if settings.redirects {
            redirect::Policy::custom(within_origin)
        } else {
            redirect::Policy::none()
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .user_agent(value("user agent", &settings.user_agent)?)
            .default_headers(headers(&settings.headers)?)
            .gzip(settings.gzip)
            .referer(false)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .redirect(redirects)
            .retry(reqwest::retry::never());
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|_| Error::config("the proxy isn't a URL"))?;
            http = http.proxy(proxy);
        } else if direct {
            http = http.no_proxy();
        }
        for pem in &settings.root_certificates {
            http = trust(http, pem)?;
        }
        let http = http.build().map_err(|error| {
            Error::config(format!("the HTTP client can't be set up: {}", error.without_url()))
        })?;
        let Settings { read_timeout, attempt_timeout, max_page_bytes, .. } = *settings;
        Ok(Self { http, read_timeout, attempt_timeout, max_page_bytes, buffers: Arc::default() })
    }

    /// Sends one GET and reads the complete response. Nothing is retried here. `on_head` is called as soon as the status
    /// and the headers have arrived.
    pub(crate) async fn get(
        &self,
        url: &Url,
        token: &Token,
        clock: &dyn Clock,
        on_head: OnHead<'_>,
    ) -> Result<Response> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.secret()))
            .map_err(|_| Error::config("the token can't be sent in a header"))?;
        let mask = Mask::default().token(token).query(url);
        authorization.set_sensitive(true);
        let request = self.http.get(url.clone()).header(AUTHORIZATION, authorization);
        self.exchange(request, clock, on_head, |text| mask.apply(text)).await
    }

    /// Sends one POST of a form, already encoded, and reads the whole answer. `cut` takes out of a text
    /// what no error may show.
    pub(crate) async fn post_form(
        &self,
        url: &Url,
        form: String,
        clock: &dyn Clock,
        cut: impl Fn(&str) -> String + Sync,
    ) -> Result<Response> {
        let request = self.http.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.exchange(request.body(form), clock, &|_, _| {}, cut).await
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        clock: &dyn Clock,
        on_head: OnHead<'_>,
        cut: impl Fn(&str) -> String + Sync,
    ) -> Result<Response> {
        let sent = clock.now();
        let end = Deadline::now().checked_add(self.attempt_timeout);
        let mut response = self.step(end, request.header(ACCEPT, "application/json").send()).await?;
        let took = clock.now().saturating_duration_since(sent);

        let status = response.status().as_u16();
        on_head(status, response.headers());
        let limit = if status == 200 { self.max_page_bytes } else { ERROR_BODY };
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = self.buffers.take(expected.min(limit));
        loop {
            match self.step(end, response.chunk()).await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
                Ok(Some(_)) if status == 200 => return Err(self.too_long(&response, &body, cut)),
                Ok(Some(chunk)) => {
                    body.extend(chunk.into_iter().take(limit - body.len()));
                    break;
                }
                // What an error says is worth having even if its body broke off.
                Err(_) if status != 200 => break,
                Err(error) => return Err(error),
            }
        }
        // An event that is kept keeps it.
        if body.capacity() / 4 > body.len() {
            body.shrink_to_fit();
        }
        let url = response.url().clone();
        Ok(Response { status, url, headers: std::mem::take(response.headers_mut()), body, sent, took })
    }

    /// A part of an exchange, within its time. What has come by the time that somebody looks isn't late:
    /// the client's own timeouts would say so of a page that arrived while its reader was busy.
    async fn step<T>(
        &self,
        end: Option<Deadline>,
        step: impl Future<Output = reqwest::Result<T>> + Send,
    ) -> Result<T> {
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Deadline::now()));
        let done = time::timeout(left.min(self.read_timeout), step).await;
        let late = |_| {
            let (of, limit) = if left < self.read_timeout {
                ("an attempt", self.attempt_timeout)
            } else {
                ("silence", self.read_timeout)
            };
            TransportError::new(TOO_LONG, format!("timed out after {limit:?} of {of}"))
        };
        done.map_err(late)?.map_err(failed)
    }

    fn too_long(&self, response: &reqwest::Response, body: &[u8], cut: impl Fn(&str) -> String) -> Error {
        let cut = |text: &str| cut(text).into();
        let content_type = header(response.headers(), CONTENT_TYPE.as_str()).map(cut);
        let tracking_id = header(response.headers(), "trackingid").map(cut);
        let start = String::from_utf8_lossy(body.get(..16 << 10).unwrap_or(body));
        let limit = format!("it is longer than the limit of {} bytes", self.max_page_bytes);
        DecodeError::new(200, content_type, tracking_id, &cut(&start), limit).into()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("max_page_bytes", &self.max_page_bytes).finish_non_exhaustive()
    }
}

impl Response {
    /// A header's first value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn tracking_id(&self) -> Option<Box<str>> {
        self.header("trackingid").map(Into::into)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Follows redirects within the origin, a few at a time; any other is an answer like all answers.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    let has_user = !attempt.url().username().is_empty() || attempt.url().password().is_some();
    if same && !has_user && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
}

fn failed(error: reqwest::Error) -> Error {
    let what = if error.is_timeout() {
        TOO_LONG
    } else if error.is_connect() {
        "no connection to the service"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the request got no answer"
    };
    TransportError::new(what, error.without_url()).into()
}

fn headers(settings: &[(String, String)]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, text) in settings {
        let key = HeaderName::try_from(name)
            .map_err(|_| Error::config(format!("`{}` isn't the name of a header", name.escape_debug())))?;
        if ["authorization", "host", "content-length", "transfer-encoding", "connection"]
            .contains(&key.as_str())
        {
            return Err(Error::config(format!("the header `{key}` isn't yours to set")));
        }
        let mut value = value(name, text)?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn value(name: &str, text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text)
        .map_err(|_| Error::config(format!("the value of `{name}` can't be sent in a header")))
}

#[cfg(feature = "tls")]
fn trust(http: reqwest::ClientBuilder, pem: &[u8]) -> Result<reqwest::ClientBuilder> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Error::config("the root certificate isn't a certificate in PEM form"));
    }
    Ok(http.tls_certs_merge(certificates))
}

#[cfg(not(feature = "tls"))]
fn trust(_: reqwest::ClientBuilder, _: &[u8]) -> Result<reqwest::ClientBuilder> {
    Err(Error::config("a root certificate needs the feature `tls`"))
}
