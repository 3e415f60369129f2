//! From a URL to a page: pacing, retries, one GET, decoding, links.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, DATE, LINK, RETRY_AFTER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{
    answers::Answers,
    clock::Clock,
    error::{ApiError, DecodeError, Error, Result, without_queries},
    event::{
        Event,
        batch::{Batch, Rejected},
    },
    link::{self, Origins},
    page,
    query::ListEvents,
    rate::Pacer,
    retry::{RetryPolicy, retry_after},
    stats::Meter,
    token::{Gate, Token},
    transport::{Answer, Transport},
};

/// What all clones of a client share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) transport: Transport,
    pub(crate) gate: Gate,
    pub(crate) retry: RetryPolicy,
    pub(crate) pacer: Pacer,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) answers: Answers,
    pub(crate) origins: Origins,
    /// The URL of the list, without a query.
    pub(crate) events: Url,
}

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// What was asked for.
    pub(crate) url: Url,
    pub(crate) batch: Arc<Batch>,
    /// The page behind this one; none means that this is the last. An error comes after the events.
    pub(crate) next: Result<Option<Url>>,
    pub(crate) previous: Option<Url>,
    pub(crate) tracking_id: Option<Box<str>>,
    /// The service's time when it was asked for the page, at the latest: what happened before is in the
    /// page, as far as the service knew of it. None without a `Date` that can be read.
    pub(crate) asked: Option<DateTime<Utc>>,
}

/// A 200, and what belongs to it.
#[derive(Debug)]
struct Sent {
    /// What was asked for, before redirects.
    url: Url,
    answer: Answer,
    /// What it was asked with.
    token: Token,
    asked: Option<DateTime<Utc>>,
}

/// What stands for itself in a path (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Core {
    /// Fetches the page at `url`. If it is the first page of `first`, it may be asked for in a smaller
    /// size.
    pub(crate) async fn page(&self, url: Url, first: Option<&ListEvents>, meter: &Meter) -> Result<Fetched> {
        let Sent { url, answer, token, asked } = self.answer(url, first, meter).await?;
        let headers = answer.headers.get_all(LINK).iter().map(http::HeaderValue::as_bytes);
        let links = link::links(headers, &answer.url, &self.origins);
        let tracking_id = answer.tracking_id();
        meter.body(answer.body.len());
        let decode = |body| Ok(page::decode(body)?.returning(&self.transport.spare));
        let batch = decoded(answer, &token, decode)?;
        let (next, previous) = match links {
            Ok(links) => (Ok(links.next), links.prev),
            Err(error) => (Err(error), None),
        };
        Ok(Fetched { url, batch, next, previous, tracking_id, asked })
    }

    /// What time it is for the service, as far as its answers tell.
    pub(crate) fn service_time(&self) -> Option<DateTime<Utc>> {
        self.answers.service_time(self.clock.now())
    }

    /// Fetches one event.
    pub(crate) async fn event(&self, id: &str) -> Result<Event> {
        if matches!(id, "" | "." | "..") {
            return Err(Error::query(format!("`{id}` isn't the id of an event")));
        }
        let mut url = self.events.clone();
        url.set_path(&format!("{}/{}", url.path(), utf8_percent_encode(id, SEGMENT)));
        let Sent { answer, token, .. } = self.answer(url, None, &Meter::default()).await?;
        Event::of(&decoded(answer, &token, page::decode_event)?, 0)
    }

    /// Asks until there is a 200 or the policy gives up.
    async fn answer(&self, url: Url, first: Option<&ListEvents>, meter: &Meter) -> Result<Sent> {
        let mut url = url;
        let mut first = first.cloned();
        let again = AtomicU32::new(0);
        let call = |attempt, failed| {
            // The service's own advice for a 504 is to reduce `max`.
            if failed == Some(504)
                && let Some(query) = first.as_ref().and_then(ListEvents::halved)
                && let Ok(smaller) = query.url(&self.events)
            {
                (url, first) = (smaller, Some(query));
            }
            self.attempt(url.clone(), attempt, &again, meter)
        };
        let wait = |status, delay| async move {
            if status == Some(429) {
                // `ready` waits for it, here and in all other streams.
                self.pacer.pause(&*self.clock, delay);
            } else {
                self.clock.sleep(delay).await;
                meter.wait(delay);
            }
        };
        self.retry.run(&*self.clock, call, wait).await
    }

    /// One attempt of the policy, which a rejected token makes two requests. `again` counts those second
    /// ones, of all attempts.
    async fn attempt(&self, url: Url, attempt: u32, again: &AtomicU32, meter: &Meter) -> Result<Sent> {
        meter.wait(self.pacer.ready(&*self.clock).await);
        let pass = self.gate.pass().await?;
        let mut nth = attempt.saturating_add(again.load(Relaxed));
        let (mut answer, mut asked) = self.send(&url, &pass.token, nth, meter).await?;
        let mut token = pass.token.clone();
        if answer.status == 401
            && let Some(other) = self.gate.renew(&pass).await?
        {
            tracing::debug!(path = url.path(), attempt, "the token was rejected: asking with another");
            again.fetch_add(1, Relaxed);
            nth = nth.saturating_add(1);
            meter.wait(self.pacer.ready(&*self.clock).await);
            (answer, asked) = self.send(&url, &other, nth, meter).await?;
            token = other;
        }
        if answer.status != 200 {
            return Err(refusal(&answer, &token, nth).into());
        }
        Ok(Sent { url, answer, token, asked })
    }

    /// Sends one request, the `nth` for its page. With the answer comes the earliest that the service
    /// can have looked at its data.
    async fn send(
        &self,
        url: &Url,
        token: &Token,
        nth: u32,
        meter: &Meter,
    ) -> Result<(Answer, Option<DateTime<Utc>>)> {
        meter.request(nth);
        let answer = match self.transport.get(url, token, &*self.clock).await {
            Ok(answer) => answer,
            Err(Error::Transport(error)) => return Err(error.after(nth).into()),
            Err(error) => {
                // A body that is too long is one of an answer all the same.
                error.status().into_iter().for_each(|status| self.answers.count(status));
                return Err(error);
            }
        };
        self.answers.count(answer.status);
        if answer.status != 429 {
            self.pacer.grant();
        }
        let date = answer.header(DATE.as_str());
        let asked = date.and_then(|date| self.answers.dated(date, answer.sent, answer.took));
        let tracking_id = || answer.tracking_id().map(|id| token.cut_from(&without_queries(&id)));
        tracing::debug!(
            path = url.path(),
            attempt = nth,
            status = answer.status,
            tracking_id = tracking_id(),
            "answer"
        );
        Ok((answer, asked))
    }
}

fn refusal(answer: &Answer, token: &Token, attempts: u32) -> ApiError {
    let date = answer.header(DATE.as_str());
    let wait = answer.header(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, date));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    // It may have repeated the token.
    ApiError::new(answer.status, answer.tracking_id(), wait, body, attempts)
        .with_texts(|text| token.cut_from(text))
}

fn decoded(
    answer: Answer,
    token: &Token,
    decode: impl Fn(Vec<u8>) -> Result<Batch, Rejected>,
) -> Result<Arc<Batch>> {
    let content_type = answer.header(CONTENT_TYPE.as_str()).map(str::to_owned);
    let tracking_id = answer.tracking_id();
    decode(answer.body).map(Arc::new).map_err(|(text, error)| {
        let cut = |text: &str| token.cut_from(text).into();
        // Enough for what is shown, even if all of it is the token over and over.
        let start: String = text.chars().take(16 << 10).collect();
        let (content_type, tracking_id) = (content_type.as_deref().map(cut), tracking_id.as_deref().map(cut));
        DecodeError::new(answer.status, content_type, tracking_id, &cut(&start), error).into()
    })
}
