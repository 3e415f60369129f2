//! The spans of lists, pages and attempts, by the names that the documentation lists as stable.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};
use webex_events::{ListEvents, RetryPolicy};
use wiremock::ResponseTemplate;

use crate::support::{Service, TOKEN, builder, read};

/// A span: its name, the name of its parent, and its fields.
#[derive(Clone, Debug, Default)]
struct Recorded {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Recorded {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(u64, Recorded)>>>);

impl Recorder {
    fn spans(&self, name: &str) -> Vec<Recorded> {
        let all = self.0.lock().unwrap();
        all.iter().map(|(_, span)| span.clone()).filter(|span| span.name == name).collect()
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut span = Recorded { name: attributes.metadata().name(), ..Recorded::default() };
        span.parent = context.span(id).and_then(|span| Some(span.parent()?.name()));
        attributes.record(&mut Fields(&mut span.fields));
        self.0.lock().unwrap().push((id.into_u64(), span));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        let (_, span) = all.iter_mut().rev().find(|(other, _)| *other == id.into_u64()).unwrap();
        values.record(&mut Fields(&mut span.fields));
    }
}

#[tokio::test]
async fn a_list_its_pages_and_its_attempts_are_spans_with_the_documented_fields() {
    let service = Service::start(|call| match call.n {
        0 => call.page("a b", Some("SeCrEt")).append_header("TrackingID", format!("ROUTER_{TOKEN}")),
        1 => ResponseTemplate::new(503).append_header("TrackingID", "ROUTER_2"),
        _ => call.page("c", None).append_header("TrackingID", "ROUTER_3"),
    })
    .await;
    let recorder = Recorder::default();
    // The test's runtime has this one thread.
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["a", "b", "c"]);
    drop(guard);

    let lists = recorder.spans("webex.list");
    assert_eq!(lists.len(), 1);
    for (name, value) in [
        ("server.address", "127.0.0.1"),
        ("url.path", "/v1/events"),
        ("webex.list.pages", "2"),
        ("webex.list.items", "3"),
        ("webex.list.outcome", "complete"),
    ] {
        assert_eq!(lists[0].field(name), Some(value), "{name}");
    }

    let pages = recorder.spans("webex.page");
    assert_eq!(pages.iter().map(|page| page.parent).collect::<Vec<_>>(), [Some("webex.list"); 2]);
    let of_pages = |name| pages.iter().map(|page| page.field(name).unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(of_pages("webex.page.items"), ["2", "1"]);
    assert_eq!(of_pages("http.request.resend_count"), ["0", "1"]);

    let attempts = recorder.spans("GET");
    assert_eq!(attempts.iter().map(|attempt| attempt.parent).collect::<Vec<_>>(), [Some("webex.page"); 3]);
    let of_attempts = |name| attempts.iter().map(|span| span.field(name).unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(of_attempts("http.request.method"), ["GET"; 3]);
    assert_eq!(of_attempts("http.response.status_code"), ["200", "503", "200"]);
    assert_eq!(of_attempts("http.request.resend_count"), ["-", "-", "1"]);
    assert_eq!(of_attempts("error.type"), ["-", "503", "-"]);
    assert_eq!(of_attempts("webex.tracking_id")[1..], ["ROUTER_2", "ROUTER_3"]);

    for (_, span) in recorder.0.lock().unwrap().iter() {
        let shown = format!("{span:?}");
        assert!(!shown.contains("SeCrEt") && !shown.contains(TOKEN) && !shown.contains('?'), "{shown}");
    }
}

#[tokio::test]
async fn the_span_of_a_list_says_how_it_ended() {
    for (pages, outcome) in [(0, "failed"), (1, "stopped")] {
        let service = Service::start(move |call| match call.n {
            n if n < pages => call.page("a", Some("1")),
            _ => ResponseTemplate::new(400),
        })
        .await;
        let recorder = Recorder::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
        let mut events = service.client().list(ListEvents::new());
        let first = futures::StreamExt::next(&mut events).await.unwrap();
        assert_eq!(first.is_ok(), pages > 0);
        drop(events);
        drop(guard);
        assert_eq!(recorder.spans("webex.list")[0].field("webex.list.outcome"), Some(outcome));
    }
}

/// A message with its fields.
type LogLine = (String, BTreeMap<&'static str, String>);

/// The log events at level `INFO` and above: their messages and their fields.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<LogLine>>>);

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        if *event.metadata().level() <= tracing::Level::INFO {
            self.0.lock().unwrap().push((fields.remove("message").unwrap_or_default(), fields));
        }
    }
}

#[tokio::test]
async fn at_level_info_a_list_its_pauses_and_its_renewals_are_logged_with_the_documented_fields() {
    let service = Service::start(|call| match call.n {
        0 => ResponseTemplate::new(401),
        1 => ResponseTemplate::new(429),
        _ => call.page("a b", None),
    })
    .await;
    let tokens = webex_events::token_fn(|rejected| {
        let token = if rejected.is_some() { "another" } else { "one" };
        std::future::ready(Ok(token.into()))
    });
    let backoff = Duration::from_millis(10);
    let policy = RetryPolicy::default().backoff(backoff, backoff);
    let client = builder(&service.url()).token_source(tokens).retry(policy).build().unwrap();
    let messages = Messages::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(messages.clone()));
    assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"]);
    drop(guard);

    let logged = messages.0.lock().unwrap().clone();
    let shown: Vec<_> = logged
        .iter()
        .map(|(message, fields)| {
            let message = message.split(": the service responded").next().unwrap();
            format!("{message} {:?}", fields.keys().collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        shown,
        [
            "list started []",
            r#"the token was rejected: sending another ["attempt", "path"]"#,
            r#"paused by the service ["wait_ms"]"#,
            r#"trying again ["attempt", "cause", "status", "wait_ms"]"#,
            "the pause of the service is over []",
            r#"list ended ["items", "outcome", "pages"]"#,
        ]
    );
    assert_eq!(logged[5].1["outcome"], "complete");
}
