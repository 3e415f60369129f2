//! One GET, or one POST of a form, over an [`HttpService`]: headers, redirects, time limits, the body.

use std::{
    error::Error as StdError,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use tokio::time::{self, Instant as Deadline};
use url::Url;

use self::body::{BodyFault, Collector};
pub use self::service::{HttpBody, HttpService};
pub(crate) use self::settings::TransportSettings;
use crate::{
    buffer_pool::BufferPool,
    clock::Clock,
    error::{DecodeError, Error, Result, TransportError, TransportErrorKind},
    mask::Mask,
    token::Token,
};

mod body;
mod builtin;
mod proxy;
mod service;
mod settings;

pub(crate) struct Transport {
    service: Arc<dyn HttpService>,
    /// The headers of every request.
    headers: HeaderMap,
    read_timeout: Duration,
    attempt_timeout: Duration,
    max_page_bytes: usize,
    /// The buffers of bodies.
    pub(crate) buffers: Arc<BufferPool>,
}

/// Called with a status and headers before the body is read, so that a pause applies even if the body never ends.
pub(crate) type OnHead<'a> = &'a (dyn Fn(u16, &HeaderMap) + Sync);

/// A complete response, of whatever status.
#[derive(Debug)]
pub(crate) struct CompleteResponse {
    pub(crate) status: u16,
    /// The URL that it came from, after redirects.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The instant at which the request was sent, and the time until the head arrived.
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
}

/// A request without a complete response, and what had arrived of the body.
pub(crate) struct Interrupted {
    pub(crate) error: Error,
    pub(crate) received: Vec<u8>,
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self { error, received: Vec::new() }
    }
}

const TOO_LONG: &str = "the service took too long";
const BROKE_OFF: &str = "the response broke off";

/// The most that is read of the body of an error.
const ERROR_BODY: usize = 64 << 10;

/// The most redirects that are followed for one request.
const REDIRECTS: usize = 5;

impl Transport {
    /// A transport for requests to these origins.
    pub(crate) fn new(settings: &TransportSettings, origins: &[Url]) -> Result<Self> {
        let headers = settings.headers()?;
        let service = match &settings.http_service {
            Some(service) => {
                settings.check_for_service()?;
                Arc::clone(service)
            }
            None => Arc::new(builtin::Builtin::new(settings, origins)?),
        };
        let TransportSettings { read_timeout, attempt_timeout, max_page_bytes, .. } = *settings;
        let buffers = Arc::default();
        Ok(Self { service, headers, read_timeout, attempt_timeout, max_page_bytes, buffers })
    }

    /// Sends one GET and reads the complete response. Nothing is retried here. `on_head` is called as soon as the status
    /// and the headers have arrived.
    pub(crate) async fn get(
        &self,
        url: &Url,
        token: &Token,
        clock: &dyn Clock,
        on_head: OnHead<'_>,
    ) -> Result<CompleteResponse> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.secret()))
            .map_err(|_| Error::config("the token can't be sent in a header"))?;
        authorization.set_sensitive(true);
        let request = |url: &Url| {
            let mut request = self.request(Method::GET, url, Bytes::new())?;
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            Ok(request)
        };
        // Built only when there is an error to show.
        let mask = |responded: &Url, text: &str| {
            Mask::default().token(token).query(url).query(responded).apply(text)
        };
        self.exchange(url, request, REDIRECTS, clock, on_head, mask)
            .await
            .map_err(|interrupted| interrupted.error)
    }

    /// Sends one POST of an encoded form and reads the whole response; no redirect is followed. `mask` removes from a
    /// text what no error may show.
    pub(crate) async fn post_form(
        &self,
        url: &Url,
        form: String,
        authorization: Option<&HeaderValue>,
        clock: &dyn Clock,
        mask: impl Fn(&str) -> String + Sync,
    ) -> Result<CompleteResponse, Interrupted> {
        let form = Bytes::from(form);
        let request = |url: &Url| {
            let mut request = self.request(Method::POST, url, form.clone())?;
            let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, content_type);
            if let Some(authorization) = authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            Ok(request)
        };
        self.exchange(url, request, 0, clock, &|_, _| {}, |_, text| mask(text)).await
    }

    fn request(&self, method: Method, url: &Url, body: Bytes) -> Result<http::Request<Bytes>> {
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri(url)?;
        request.headers_mut().clone_from(&self.headers);
        Ok(request)
    }

    async fn exchange(
        &self,
        url: &Url,
        request: impl Fn(&Url) -> Result<http::Request<Bytes>> + Sync,
        redirects: usize,
        clock: &dyn Clock,
        on_head: OnHead<'_>,
        mask: impl Fn(&Url, &str) -> String + Sync,
    ) -> Result<CompleteResponse, Interrupted> {
        let sent = clock.now();
        let end = Deadline::now().checked_add(self.attempt_timeout);
        let (url, response) = self.head(url, request, redirects, end).await?;
        let took = clock.now().saturating_duration_since(sent);
        let (head, body) = response.into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        on_head(status, &headers);
        let body = if status == 200 {
            self.body(&headers, body, end, |text| mask(&url, text)).await?
        } else {
            self.error_body(&headers, body, end).await
        };
        Ok(CompleteResponse { status, url, headers, body, sent, took })
    }

    /// Sends a request and follows redirects within its origin, up to a number of them; any other is a response like
    /// all responses.
    async fn head(
        &self,
        url: &Url,
        request: impl Fn(&Url) -> Result<http::Request<Bytes>> + Sync,
        redirects: usize,
        end: Option<Deadline>,
    ) -> Result<(Url, http::Response<HttpBody>)> {
        let mut url = url.clone();
        let mut left = redirects;
        loop {
            let response = self.step(end, self.service.call(request(&url)?)).await??;
            match redirect(&url, &response).filter(|_| left > 0) {
                Some(target) => url = target,
                None => return Ok((url, response)),
            }
            left -= 1;
        }
    }

    /// Reads the body of a 200.
    async fn body(
        &self,
        headers: &HeaderMap,
        body: HttpBody,
        end: Option<Deadline>,
        mask: impl Fn(&str) -> String,
    ) -> Result<Vec<u8>, Interrupted> {
        let limit = self.max_page_bytes;
        let mut collector = Collector::new(headers, limit, |capacity| self.buffers.take(capacity))
            .map_err(|fault| decode_error(headers, &[], &mask, fault.to_string()))?;
        let collected = self.collect(&mut collector, body, end).await;
        let received = collector.into_bytes();
        let error = match collected {
            Ok(None) => return Ok(received),
            Ok(Some(BodyFault::TooLong)) => {
                let reason = format!("it is longer than the limit of {limit} bytes");
                decode_error(headers, &received, &mask, reason)
            }
            Ok(Some(fault)) => truncated(fault).into(),
            Err(error) => error,
        };
        Err(Interrupted { error, received })
    }

    /// Collects the chunks of a body. Returns its fault, if it has one.
    async fn collect(
        &self,
        collector: &mut Collector,
        mut body: HttpBody,
        end: Option<Deadline>,
    ) -> Result<Option<BodyFault>> {
        while let Some(chunk) = self.step(end, next_chunk(&mut body)).await? {
            if let Err(fault) = collector.push(&chunk?) {
                return Ok(Some(fault));
            }
        }
        Ok(collector.check().err())
    }

    /// Reads as much as there is of the body of an error, which is of use even if it broke off.
    async fn error_body(&self, headers: &HeaderMap, body: HttpBody, end: Option<Deadline>) -> Vec<u8> {
        let Ok(mut collector) = Collector::new(headers, ERROR_BODY, Vec::with_capacity) else {
            return Vec::new();
        };
        let mut body = body;
        while let Ok(Some(Ok(chunk))) = self.step(end, next_chunk(&mut body)).await {
            if collector.push(&chunk).is_err() {
                break;
            }
        }
        collector.into_bytes()
    }

    /// Runs a part of an exchange within its time. A part that is ready when it is polled is in time: timers of the
    /// HTTP client would fail a page that arrived while its reader was busy.
    async fn step<T>(&self, end: Option<Deadline>, step: impl Future<Output = T> + Send) -> Result<T> {
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Deadline::now()));
        time::timeout(left.min(self.read_timeout), step).await.map_err(|_| {
            let (of, limit) = if left < self.read_timeout {
                ("an attempt", self.attempt_timeout)
            } else {
                ("silence", self.read_timeout)
            };
            let detail = format!("timed out after {limit:?} of {of}");
            TransportError::with_kind(TransportErrorKind::TimedOut, TOO_LONG, detail).into()
        })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("max_page_bytes", &self.max_page_bytes).finish_non_exhaustive()
    }
}

impl CompleteResponse {
    /// The first value of a header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn tracking_id(&self) -> Option<Box<str>> {
        self.header("trackingid").map(Into::into)
    }
}

/// `url` as it is sent.
///
/// # Errors
///
/// [`Error::Query`] if it is too long for that: links and cursors are checked before.
pub(crate) fn uri(url: &Url) -> Result<Uri> {
    Uri::try_from(url.as_str()).map_err(|error| {
        Error::query(format!("the URL of {} bytes can't be sent: {error}", url.as_str().len()))
    })
}

/// The error for a response whose end did not arrive.
pub(crate) fn truncated(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> TransportError {
    TransportError::with_kind(TransportErrorKind::Truncated, BROKE_OFF, reason)
}

async fn next_chunk(body: &mut HttpBody) -> Option<Result<Bytes, TransportError>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The target of a redirect that stays within the origin of `from`.
fn redirect<T>(from: &Url, response: &http::Response<T>) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let target = from.join(header(response.headers(), LOCATION.as_str())?).ok()?;
    let has_user = !target.username().is_empty() || target.password().is_some();
    (target.origin() == from.origin() && target.scheme() == from.scheme() && !has_user).then_some(target)
}

fn decode_error(headers: &HeaderMap, body: &[u8], mask: impl Fn(&str) -> String, reason: String) -> Error {
    let mask = |text: &str| mask(text).into();
    let content_type = header(headers, CONTENT_TYPE.as_str()).map(mask);
    let tracking_id = header(headers, "trackingid").map(mask);
    let start = String::from_utf8_lossy(body.get(..16 << 10).unwrap_or(body));
    DecodeError::new(200, content_type, tracking_id, &mask(&start), reason).into()
}

#[cfg(test)]
mod tests;
