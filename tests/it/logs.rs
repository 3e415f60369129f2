//! The log: it never has a token or a query string. In a process of its own, because a subscriber
//! is global.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use webex_events::{ListEvents, OAuth, Resource};
use wiremock::ResponseTemplate;

use crate::support::{Service, TOKEN, builder, labels, ok, read};

const SECRET: &str = "qUeRySeCrEt";

#[tokio::test]
async fn no_log_line_shows_a_token_or_a_query() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let service = Service::start(|call| match call.n {
        0 => ResponseTemplate::new(503)
            .append_header("TrackingID", format!("ROUTER_{TOKEN}"))
            .set_body_string(format!(r#"{{"message":"https:\/\/a\/b?c={SECRET} {TOKEN}"}}"#)),
        1 => call.page("a !1", Some(SECRET)).append_header("TrackingID", format!("ROUTER_{TOKEN}")),
        2 => ResponseTemplate::new(500).set_body_string(TOKEN),
        3 => call.page("b", Some(&format!("{SECRET}2"))),
        _ => ok(TOKEN),
    })
    .await;
    let query = ListEvents::new().param("x", SECRET).resource(Resource::Messages);
    let all = read(service.client().list(query)).await;
    assert_eq!(all, ["a", &labels("!1")[0], "b", "Decode 200"]);
    tokens_are_renewed().await;
    let lines = log.0.lock().unwrap().clone();
    assert!(!lines.is_empty(), "what is tried again is logged");
    for line in lines {
        assert!(!line.contains(SECRET) && !line.contains(TOKEN), "{line}");
    }
}

/// The endpoint repeats the request in its response.
async fn tokens_are_renewed() {
    let service = Service::start(|call| {
        let form = String::from_utf8_lossy(&call.request.body);
        let tokens =
            format!(r#"{{"access_token":"{TOKEN}2","refresh_token":"{TOKEN}3","message":"{form}"}}"#);
        match call.n {
            0 => ResponseTemplate::new(503).append_header("TrackingID", &*form).set_body_string(&*form),
            1 => ok(tokens),
            2 => ResponseTemplate::new(401).set_body_string(TOKEN),
            3 => ResponseTemplate::new(400).set_body_string(tokens),
            _ => ok(TOKEN),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let oauth = OAuth::new("client", SECRET, &file).unwrap().base_url(service.url());
    let client = builder(&service.url()).token_source(oauth).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["Api 400"]);
    assert_eq!(service.count(), 4);
}

/// Keeps this crate's log lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("webex_events")
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Line(&self.0));
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut Line(&self.0));
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Line(&self.0));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Line<'a>(&'a Mutex<Vec<String>>);

impl tracing::field::Visit for Line<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.0.lock().unwrap().push(format!("{}={value:?}", field.name()));
    }
}
