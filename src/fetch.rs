//! From a URL to a page: pacing, retries, one GET, decoding, links.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryFutureExt;
use http::{
    HeaderMap, HeaderName,
    header::{DATE, LINK, RETRY_AFTER},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::Instrument;
use url::Url;

use crate::{
    clock::Clock,
    error::{ApiError, Error, Result, without_queries},
    event::{Event, batch::Batch},
    link::{self, AllowedOrigins},
    mask::Mask,
    page,
    query::ListEvents,
    rate::Pacer,
    response_stats::ResponseStats,
    retry::{Attempt, RetryPolicy, retry_after},
    service_clock::{DateReading, ServedAt},
    slice::RequestedEnd,
    stats::Meter,
    timer::current_runtime,
    token::{Token, TokenProvider},
    trace,
    transport::{self, CompleteResponse, Transport},
};

mod body;
mod resource;

use body::Undecodable;

/// The state that all clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) transport: Transport,
    pub(crate) provider: TokenProvider,
    pub(crate) retry: RetryPolicy,
    pub(crate) pacer: Pacer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) response_stats: ResponseStats,
    pub(crate) origins: AllowedOrigins,
    /// The URL of the list, without a query.
    pub(crate) events: Url,
}

/// A page as it was received.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The requested URL, before redirects.
    pub(crate) url: Url,
    pub(crate) batch: Arc<Batch>,
    /// The page after this one; none means that this is the last. An error comes after the events.
    pub(crate) next: Result<Option<Url>>,
    pub(crate) previous: Option<Url>,
    pub(crate) tracking_id: Option<Box<str>>,
    /// The time of the response by each of the clocks. None without a `Date` that can be read.
    pub(crate) served_at: Option<ServedAt>,
}

/// The first page of a list, which can be requested otherwise than its URL says.
#[derive(Clone, Debug)]
pub(crate) struct FirstPage {
    /// Requested in a smaller size after a 504.
    pub(crate) query: ListEvents,
    /// The end to request, if it depends on the time of the request.
    pub(crate) end: Option<RequestedEnd>,
}

/// A 200 with its decoded body.
#[derive(Debug)]
struct Decoded<T> {
    /// The requested URL, before redirects.
    url: Url,
    /// Without its body.
    response: CompleteResponse,
    /// The token of the request.
    token: Token,
    body: T,
    /// The length of the body in bytes.
    bytes: usize,
    /// The number of requests that it took.
    attempt_number: u32,
    served_at: Option<ServedAt>,
}

/// One request, with its token.
#[derive(Clone, Copy)]
struct OutgoingRequest<'a> {
    url: &'a Url,
    token: &'a Token,
    /// Its number among the requests for this page, from 1.
    attempt_number: u32,
    /// The shortest pause that a 429 makes.
    backoff: Duration,
}

/// The characters that are escaped in a path: all but the unreserved ones (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Shared {
    /// Fetches the page at `url`, which may be the first one of a list.
    pub(crate) async fn page(&self, url: Url, first: Option<FirstPage>, meter: &Meter) -> Result<Fetched> {
        if first.is_some() {
            transport::uri(&url)?;
        }
        let decode = |body| Ok(page::decode(body)?.returning(&self.transport.buffers));
        let span = trace::page(&url);
        let fetched = self.request(url, first, meter, decode).instrument(span.clone()).await?;
        let Decoded { url, response, body, bytes, served_at, token, attempt_number } = fetched;
        let headers = response.headers.get_all(LINK).iter().map(http::HeaderValue::as_bytes);
        let links = link::links(headers, &response.url, &self.origins);
        let tracking_id = response.tracking_id();
        let batch = Arc::new(body);
        span.record("webex.page.items", batch.len());
        span.record("http.request.resend_count", attempt_number.saturating_sub(1));
        if let Some(id) = tracking_id.as_deref().filter(|_| !span.is_disabled()) {
            span.record("webex.tracking_id", masked_id(id, &response.url, &token, &url));
        }
        meter.body(bytes);
        let (next, previous) = match links {
            Ok(links) => (Ok(links.next), links.prev),
            Err(error) => (Err(error), None),
        };
        Ok(Fetched { url, batch, next, previous, tracking_id, served_at })
    }

    /// The time that the service's responses tell, if it is believed: see `service_clock.rs`.
    pub(crate) fn service_time(&self) -> Option<DateTime<Utc>> {
        self.response_stats.service_time(self.clock.now())
    }

    /// Fetches one event.
    pub(crate) async fn event(&self, id: &str) -> Result<Event> {
        if matches!(id, "" | "." | "..") {
            return Err(Error::query(format!("`{id}` isn't the id of an event")));
        }
        let mut url = self.events.clone();
        url.set_path(&format!("{}/{}", url.path(), utf8_percent_encode(id, SEGMENT)));
        transport::uri(&url)?;
        let decode = |body| Ok(page::decode_event(body)?);
        let event = self.request(url, None, &Meter::default(), decode).await?;
        Event::of(&Arc::new(event.body), 0)
    }

    /// Sends requests until there is a 200 or the policy gives up.
    async fn request<T: Send>(
        &self,
        url: Url,
        first: Option<FirstPage>,
        meter: &Meter,
        decode: impl Fn(Vec<u8>) -> Result<T, Undecodable> + Send + Sync,
    ) -> Result<Decoded<T>> {
        current_runtime()?;
        let (mut url, mut first) = (url, first);
        let resent = AtomicU32::new(0);
        let call = |attempt: Attempt| {
            // The service's own advice for a 504 is to reduce `max`.
            if attempt.failed == Some(504)
                && let Some(first) = &mut first
                && let Some(query) = first.query.halved()
                && let Ok(smaller) = query.url(&self.events)
            {
                (url, first.query) = (smaller, query);
            }
            let attempted = self.attempt(url.clone(), first.clone(), attempt, &resent, meter, &decode);
            // An `async` block would hold the attempt twice.
            attempted.map_err(move |error| {
                if self.response_stats.is_empty() {
                    self.retry.unreached(error, attempt.number)
                } else {
                    error
                }
            })
        };
        let wait = |status, delay| async move {
            // The pause of a 429 has begun with its headers: the pacer holds back this request like all others.
            if status != Some(429) {
                self.clock.sleep(delay).await;
                meter.wait(delay);
            }
        };
        self.retry.run(&*self.clock, call, wait).await
    }

    /// One attempt of the policy, which a rejected token makes two requests. `resent` counts those second
    /// ones, of all attempts.
    ///
    /// Each request waits for the pacer first and gets its token then, so that a source that refuses stops
    /// the client however long the wait was.
    async fn attempt<T: Send>(
        &self,
        url: Url,
        first: Option<FirstPage>,
        attempt: Attempt,
        resent: &AtomicU32,
        meter: &Meter,
        decode: &(impl Fn(Vec<u8>) -> Result<T, Undecodable> + Sync),
    ) -> Result<Decoded<T>> {
        let mut attempt_number = attempt.number.saturating_add(resent.load(Relaxed));
        let credential = loop {
            self.pace(attempt, attempt_number, meter).await?;
            let credential = self.provider.credential().await?;
            // A source can take minutes: a pause that began meanwhile holds this request back, too.
            if !self.pacer.is_paused(&*self.clock) {
                break credential;
            }
        };
        // After all waits: the time of this request.
        let mut url = self.url_by_now(first.as_ref(), url);
        let request =
            OutgoingRequest { url: &url, token: &credential.token, attempt_number, backoff: attempt.backoff };
        let (mut response, mut served_at) = self.send(request, meter).await?;
        let mut token = credential.token.clone();
        if response.status == 401 && self.provider.can_renew() {
            attempt_number = attempt_number.saturating_add(1);
            let other = loop {
                self.pace(attempt, attempt_number, meter).await?;
                let other = self.provider.renew(&credential).await?;
                if !self.pacer.is_paused(&*self.clock) {
                    break other;
                }
            };
            if let Some(other) = other {
                tracing::info!(
                    path = url.path(),
                    attempt = attempt.number,
                    "the token was rejected: sending another"
                );
                resent.fetch_add(1, Relaxed);
                url = self.url_by_now(first.as_ref(), url);
                let backoff = attempt.backoff;
                let request = OutgoingRequest { url: &url, token: &other, attempt_number, backoff };
                (response, served_at) = self.send(request, meter).await?;
                token = other;
            }
        }
        if response.status != 200 {
            return Err(refusal(&response, &mask(&response.url, &token, &url), attempt_number).into());
        }
        let body = mem::take(&mut response.body);
        let bytes = body.len();
        let body = decode(body)
            .map_err(|fault| fault.error(&response, &mask(&response.url, &token, &url), attempt_number))?;
        Ok(Decoded { url, response, token, body, bytes, attempt_number, served_at })
    }

    /// The URL to request, which depends on the time if it is the first page of a list with such an end.
    fn url_by_now(&self, first: Option<&FirstPage>, url: Url) -> Url {
        let by_now = |first: &FirstPage| {
            let to = first.end?.at(self.service_time(), self.clock.utc());
            first.query.clone().to(to).url(&self.events).ok()
        };
        first.and_then(by_now).unwrap_or(url)
    }

    /// Waits until the request with this number may be sent. A pause that is longer than the policy waits gives the
    /// error that the service would give.
    async fn pace(&self, attempt: Attempt, attempt_number: u32, meter: &Meter) -> Result<()> {
        let ready = self.pacer.ready(&*self.clock, attempt.longest_wait).await;
        let waited = ready.map_err(|rest| {
            ApiError::new(429, None, Some(rest), String::new(), attempt_number.saturating_sub(1))
        })?;
        meter.wait(waited);
        Ok(())
    }

    /// Sends one request. With the response comes its time.
    async fn send(
        &self,
        request: OutgoingRequest<'_>,
        meter: &Meter,
    ) -> Result<(CompleteResponse, Option<ServedAt>)> {
        let OutgoingRequest { url, token, attempt_number, backoff } = request;
        meter.request(attempt_number);
        let utc = self.clock.utc();
        let on_head = |status: u16, headers: &HeaderMap| {
            if status == 429 {
                let requested = requested_wait(headers).unwrap_or_default();
                self.pacer.pause(&*self.clock, requested.max(backoff));
            }
        };
        let span = trace::attempt(url, attempt_number);
        // Boxed, because it would double the size of every future that holds this one.
        let get = Box::pin(self.transport.get(url, token, &*self.clock, &on_head)).instrument(span.clone());
        let response = match get.await {
            Ok(response) => response,
            Err(Error::Transport(error)) => {
                span.record("error.type", error.kind().as_str());
                return Err(error.after(attempt_number).into());
            }
            Err(error) => {
                // A body that is too long belongs to a response that was counted nowhere else.
                error.status().into_iter().for_each(|status| self.response_stats.count(status));
                return Err(error);
            }
        };
        self.response_stats.count(response.status);
        if response.status != 429 {
            self.pacer.grant();
        }
        let served_at = self.served_at(&response, utc);
        if !span.is_disabled() {
            span.record("http.response.status_code", response.status);
            if response.status >= 400 {
                span.record("error.type", response.status);
            }
            if let Some(id) = response.tracking_id() {
                span.record("webex.tracking_id", masked_id(&id, &response.url, token, url));
            }
        }
        span.in_scope(|| tracing::debug!(attempt = attempt_number, status = response.status, "response"));
        Ok((response, served_at))
    }

    /// Learns the service's time from the `Date` of a response whose request was sent at `utc`.
    fn served_at(&self, response: &CompleteResponse, utc: DateTime<Utc>) -> Option<ServedAt> {
        let date = httpdate::parse_http_date(response.header(DATE.as_str())?.trim()).ok()?;
        let CompleteResponse { sent, took, .. } = *response;
        let observation = self.response_stats.observe(DateReading { sent, utc, took, date: date.into() })?;
        if let Some(apart) = observation.apart {
            let side = if apart > TimeDelta::zero() { "ahead of" } else { "behind" };
            tracing::warn!(
                is_believed = observation.is_believed,
                "the service's clock is {} s {side} this machine's: correct the one that is wrong",
                apart.abs().num_seconds()
            );
        }
        Some(observation.served_at)
    }
}

/// Masks the secrets that a response from `responded` to a request of `url` with `token` may have repeated.
fn mask(responded: &Url, token: &Token, url: &Url) -> Mask {
    Mask::default().token(token).query(url).query(responded)
}

/// A tracking id that can be logged.
fn masked_id(id: &str, responded: &Url, token: &Token, url: &Url) -> String {
    mask(responded, token, url).apply(&without_queries(id))
}

/// The wait that a response requests by `Retry-After`.
fn requested_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    retry_after(text(&RETRY_AFTER)?, text(&DATE))
}

fn refusal(response: &CompleteResponse, mask: &Mask, attempts: u32) -> ApiError {
    let wait = requested_wait(&response.headers);
    let body = String::from_utf8_lossy(&response.body).into_owned();
    ApiError::new(response.status, response.tracking_id(), wait, body, attempts)
        .with_texts(|text| mask.apply(text))
}
