//! A live service with events that arrive late, whose `Date` and whose follower's clock can be wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use url::Url;
use webex_events::{
    Client, RetryPolicy,
    internals::{ManualClock, with_clock},
};

use super::{created, start};
use crate::support::{self, Served, http};

/// Events in a page.
const PAGE: usize = 4;

pub(super) struct Live {
    served: Served,
    truth: Arc<Mutex<Truth>>,
    pub(super) clock: ManualClock,
}

/// The true state of the service.
pub(super) struct Truth {
    now: DateTime<Utc>,
    /// The error of the `Date` of the responses; none for responses without one.
    pub(super) date_error: Option<TimeDelta>,
    /// The same for single responses, by the number of responses until then.
    pub(super) single: BTreeMap<usize, TimeDelta>,
    /// The statuses of the next responses that fail, the last one first.
    pub(super) failures: Vec<u16>,
    /// The bounds of a list are cut to whole seconds.
    pub(super) whole_seconds: bool,
    utc_error: TimeDelta,
    /// Instants of creation and arrival, and the id.
    events: Vec<(DateTime<Utc>, DateTime<Utc>, String)>,
}

impl Live {
    pub(super) async fn begin() -> Self {
        let truth = Arc::new(Mutex::new(Truth {
            now: start(),
            date_error: Some(TimeDelta::zero()),
            single: BTreeMap::new(),
            failures: Vec::new(),
            whole_seconds: false,
            utc_error: TimeDelta::zero(),
            events: Vec::new(),
        }));
        let shared = Arc::clone(&truth);
        let served = Served::start(move |n, head| {
            let host = format!("http://{}", head.header("host").unwrap());
            let url = Url::parse(&format!("{host}{}", head.target())).unwrap();
            shared.lock().unwrap().respond(n, &url)
        })
        .await;
        Self { served, truth, clock: ManualClock::new(start()) }
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(support::hasty())
    }

    pub(super) fn client_with(&self, retry: RetryPolicy) -> Client {
        with_clock(support::builder(&self.served.url()).retry(retry), &self.clock).build().unwrap()
    }

    pub(super) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.truth().now
    }

    pub(super) fn advance(&self, by: Duration) {
        self.truth().now += by;
        self.clock.advance(by);
    }

    /// Sets this machine's time of day wrong.
    pub(super) fn set_utc_error(&self, error: TimeDelta) {
        let mut truth = self.truth();
        truth.utc_error = error;
        self.clock.set_utc(truth.now + error);
    }

    /// Adds an event that was created this long ago and arrives now.
    pub(super) fn push(&self, age: Duration) -> String {
        let mut truth = self.truth();
        let (created, id) = (truth.now - age, format!("e{}", truth.events.len()));
        let arrival = truth.now;
        truth.events.push((created, arrival, id.clone()));
        id
    }

    pub(super) fn requests(&self) -> usize {
        self.served.heads().len()
    }

    pub(super) fn targets(&self) -> Vec<String> {
        self.served.targets()
    }
}

impl Truth {
    fn respond(&mut self, n: usize, url: &Url) -> Vec<u8> {
        let date = self.date_error.map(|error| self.now + self.single.get(&n).copied().unwrap_or(error));
        let date = date.map(|date| date.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
        let mut headers: Vec<_> = date.iter().map(|date| ("Date", &**date)).collect();
        if let Some(status) = self.failures.pop() {
            return http(status, &headers, "{}");
        }
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let instant = |name| parameter(name).map(|text| text.parse::<DateTime<Utc>>().unwrap());
        let cut = |time: DateTime<Utc>| {
            if self.whole_seconds { DateTime::from_timestamp(time.timestamp(), 0).unwrap() } else { time }
        };
        let (from, to) = (instant("from").map(cut), instant("to").map(cut));
        let mut listed: Vec<_> = self
            .events
            .iter()
            .filter(|(created, _, _)| {
                from.is_none_or(|from| from <= *created) && to.is_none_or(|to| *created < to)
            })
            .collect();
        listed.sort_by_key(|(created, _, _)| std::cmp::Reverse(*created));
        let offset: usize = parameter("o").map_or(0, |offset| offset.parse().unwrap());
        let page: Vec<_> =
            listed.iter().skip(offset).take(PAGE).map(|(time, _, id)| text(id, *time)).collect();
        let mut next = url.clone();
        let pairs: Vec<_> = url
            .query_pairs()
            .filter(|(key, _)| key != "o")
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        next.query_pairs_mut().clear().extend_pairs(pairs).append_pair("o", &(offset + PAGE).to_string());
        let link = format!("<{next}>; rel=\"next\"");
        if offset + PAGE < listed.len() {
            headers.push(("Link", &link));
        }
        http(200, &headers, support::body(&page))
    }
}

fn text(id: &str, time: DateTime<Utc>) -> String {
    created(id, &time.to_rfc3339_opts(SecondsFormat::Millis, true), 0)
}
