//! The text of `/metrics`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{
    Counter, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, Result, TextEncoder, core::Collector,
};

use crate::metrics::Reading;

/// A registry lives for one scrape: everything is known by then, and nothing has to be kept in step.
pub(super) fn of(reading: &Reading, lag: Option<Duration>) -> Result<String> {
    let sheet = Sheet(Registry::new_custom(Some("webex_events".to_owned()), None)?);
    let stats = &reading.stats;
    sheet.count("events_total", "Events read.", stats.events)?;
    sheet.count("malformed_total", "Items read that aren't events.", stats.malformed)?;
    sheet.count(
        "duplicates_dropped_total",
        "Events that came again and were dropped.",
        reading.duplicates,
    )?;
    sheet.count(
        "events_outside_total",
        "Events that were created outside of the slice they were listed for, and were not written.",
        stats.outside,
    )?;
    sheet.count("pages_total", "Pages read.", stats.pages)?;
    sheet.count("received_bytes_total", "Bytes of pages, unpacked.", stats.bytes)?;
    sheet.count("retries_total", "Requests that were sent again.", stats.retries)?;
    let requests = Opts::new("requests_total", "Requests that were answered, by the status of the answer.");
    let requests = IntCounterVec::new(requests, &["status"])?;
    for (status, count) in &reading.answers {
        requests.get_metric_with_label_values(&[status.to_string()])?.inc_by(*count);
    }
    sheet.put(requests)?;
    let waited = Counter::new("waited_seconds_total", "Time spent waiting for the pace and in pauses.")?;
    waited.inc_by(stats.waited.as_secs_f64());
    sheet.put(waited)?;
    let open = Gauge::new("open_slices", "Slices that are being read.")?;
    // Far fewer than a float can tell apart.
    open.set(u32::try_from(reading.open_slices).unwrap_or(u32::MAX).into());
    sheet.put(open)?;
    if let Some(lag) = lag {
        let gauge = Gauge::new("lag_seconds", "How far behind now everything was read.")?;
        gauge.set(lag.as_secs_f64());
        sheet.put(gauge)?;
    }
    if let Some(expiry) = reading.token_expiry {
        sheet.put(token_expiry(expiry)?)?;
    }
    let build = Opts::new("build_info", "The version of the program.");
    let build = IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION")))?;
    build.set(1);
    sheet.put(build)?;
    TextEncoder::new().encode_to_string(&sheet.0.gather())
}

fn token_expiry(expiry: DateTime<Utc>) -> Result<IntGauge> {
    let gauge = IntGauge::new("token_expiry_timestamp_seconds", "When the access token expires, Unix time.")?;
    gauge.set(expiry.timestamp());
    Ok(gauge)
}

struct Sheet(Registry);

impl Sheet {
    fn count(&self, name: &str, help: &str, value: u64) -> Result<()> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        self.put(counter)
    }

    fn put(&self, metric: impl Collector + 'static) -> Result<()> {
        self.0.register(Box::new(metric))
    }
}
