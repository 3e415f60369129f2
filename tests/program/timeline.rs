//! A service with a few events at chosen instants, which lists them by the time at which they were stored.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::stub::{Stub, answer};

#[derive(Clone)]
pub(crate) struct Timeline {
    /// Each with its id, when it was created, and when it was stored.
    pub(crate) events: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
}

impl Timeline {
    /// Events from pairs of an instant and the milliseconds until it was stored.
    pub(crate) fn new(events: &[(&str, i64)]) -> Self {
        let event = |(number, (created, lag)): (usize, &(&str, i64))| {
            let created = created.parse::<DateTime<Utc>>().unwrap();
            (format!("event-{number}"), created, created + TimeDelta::milliseconds(*lag))
        };
        Self { events: events.iter().enumerate().map(event).collect() }
    }

    /// Serves them. `refuses` gives the status for a request from one instant to another, if it is to fail.
    pub(crate) fn serve(
        &self,
        refuses: impl Fn(DateTime<Utc>, DateTime<Utc>) -> Option<u16> + Send + 'static,
    ) -> Stub {
        let events = self.events.clone();
        Stub::responding(move |request| {
            let (from, to) = bounds(request.line());
            let date = format!("date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
            if let Some(status) = refuses(from, to) {
                return answer(status, date, r#"{"message":"no"}"#);
            }
            let listed = events.iter().filter(|(_, _, stored)| (from..=to).contains(stored));
            let items: Vec<_> = listed.map(|(id, created, _)| item(id, *created)).collect();
            answer(200, date, format!(r#"{{"items":[{}]}}"#, items.join(",")))
        })
    }
}

/// The range of a request; all time where it has none.
pub(crate) fn bounds(request: &str) -> (DateTime<Utc>, DateTime<Utc>) {
    let target = request.split(' ').nth(1).unwrap();
    let url = url::Url::parse(&format!("http://localhost{target}")).unwrap();
    let bound = |name: &str| {
        let value = url.query_pairs().find(|(key, _)| key == name)?.1;
        value.parse::<DateTime<Utc>>().ok()
    };
    (bound("from").unwrap_or(DateTime::UNIX_EPOCH), bound("to").unwrap_or_else(Utc::now))
}

fn item(id: &str, created: DateTime<Utc>) -> String {
    let created = created.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!(r#"{{"id":"{id}","resource":"messages","type":"created","created":"{created}","data":{{}}}}"#)
}
