//! Tokens that change: when a source is called, how often, and that the position in the list is kept.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::BoxFuture, poll, stream::FuturesUnordered, stream::StreamExt};
use tokio::sync::Semaphore;
use webex_events::{
    Client, ClientBuilder, Error, ListEvents, RateLimit, Result, RetryPolicy, Token, TokenSource,
    TransportError, token_fn,
};
use wiremock::ResponseTemplate;

use crate::support::{
    self, Call, Service, TOKEN, builder, error, hasty, http, kind, ok, read, read_some, refusal, within,
};

/// Gives one token until a token is rejected, and then the next result of its script.
#[derive(Clone, Debug)]
struct Source(Arc<Script>);

#[derive(Debug)]
struct Script {
    now: Mutex<Token>,
    next: Mutex<VecDeque<Result<Token>>>,
    rejected_tokens: Mutex<Vec<Option<Token>>>,
    /// The number of rejections that may get a result.
    permits: Semaphore,
}

impl Source {
    fn new(next: impl IntoIterator<Item = Result<Token>>) -> Self {
        Self(Arc::new(Script {
            now: Mutex::new("t0".into()),
            next: Mutex::new(next.into_iter().collect()),
            rejected_tokens: Mutex::default(),
            permits: Semaphore::new(100),
        }))
    }

    fn tokens(next: &[&str]) -> Self {
        Self::new(next.iter().map(|&token| Ok(token.into())))
    }

    /// The rejected token of each call, `None` for a call without one.
    fn rejected_tokens(&self) -> Vec<Option<Token>> {
        self.0.rejected_tokens.lock().unwrap().clone()
    }

    fn rejections(&self) -> Vec<Token> {
        self.rejected_tokens().into_iter().flatten().collect()
    }

    fn client(&self, base: &str) -> Client {
        self.with(builder(base))
    }

    fn with(&self, builder: ClientBuilder) -> Client {
        builder.token_source(self.clone()).build().unwrap()
    }
}

impl TokenSource for Source {
    fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
        Box::pin(async move {
            self.0.rejected_tokens.lock().unwrap().push(rejected.cloned());
            if rejected.is_none() {
                return Ok(self.0.now.lock().unwrap().clone());
            }
            self.0.permits.acquire().await.unwrap().forget();
            let token = self.0.next.lock().unwrap().pop_front().unwrap()?;
            *self.0.now.lock().unwrap() = token.clone();
            Ok(token)
        })
    }
}

/// The token of a request.
fn bearer<'a>(call: &'a Call<'_>) -> &'a str {
    call.request.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

/// Pages `p0` to `p9` of one event, for requests with a token that `good` finds good.
fn pages(call: &Call<'_>, good: impl Fn(&str, &str) -> bool) -> ResponseTemplate {
    if !good(bearer(call), &call.cursor) {
        return refusal(401);
    }
    let at: usize = call.cursor.parse().unwrap_or(0);
    let next = (at + 1).to_string();
    call.page(&format!("p{at}"), (at < 9).then_some(&*next))
}

fn all_pages() -> Vec<String> {
    (0..10).map(|n| format!("p{n}")).collect()
}

#[tokio::test]
async fn the_source_is_called_before_every_attempt() {
    let service = Service::start(|call| match call.n {
        0 | 2 => refusal(503),
        1 => call.page("a", Some("1")),
        _ => call.page("b", None),
    })
    .await;
    let source = Source::tokens(&[]);
    assert_eq!(read(source.client(&service.url()).list(ListEvents::new())).await, ["a", "b"]);
    assert_eq!(source.rejected_tokens(), [None, None, None, None]);
    assert_eq!(service.header("authorization").await, ["Bearer t0"; 4]);
}

#[tokio::test]
async fn building_a_client_and_a_stream_calls_no_source() {
    let source = Source::tokens(&[]);
    let client = source.client("http://127.0.0.1:1/v1");
    let _ = client.list(ListEvents::new());
    assert!(source.rejected_tokens().is_empty());
}

#[tokio::test]
async fn a_rejected_token_is_replaced_and_the_position_in_the_list_is_kept() {
    let service = Service::start(|call| {
        pages(call, |token, cursor| match cursor {
            "" | "1" | "2" => token == "t0",
            "3" | "4" | "5" | "6" => token == "t1",
            _ => token == "t2",
        })
    })
    .await;
    let source = Source::tokens(&["t1", "t2"]);
    let mut events = source.client(&service.url()).list(ListEvents::new());
    assert_eq!(read(&mut events).await, all_pages());
    assert_eq!(source.rejections(), ["t0".into(), "t1".into()]);
    assert_eq!(service.cursors().await, ["", "1", "2", "3", "3", "4", "5", "6", "7", "7", "8", "9"]);
    let stats = events.stats();
    assert_eq!((stats.requests, stats.retries, stats.pages), (12, 2, 10));
}

#[tokio::test]
async fn the_second_request_is_not_an_attempt_of_the_policy() {
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let source = Source::tokens(&["t1"]);
    let client = source.with(builder(&service.url()).retry(RetryPolicy::never()));
    assert_eq!(read(client.list(ListEvents::new())).await, all_pages());
    // The attempt after the second request is counted, and each attempt may have its rejection.
    let service = Service::start(|call| match call.n {
        0 | 2 => refusal(401),
        1 | 3 => refusal(503),
        _ => unreachable!("two attempts are used up"),
    })
    .await;
    let source = Source::tokens(&["t1", "t2"]);
    let twice = hasty().attempts(NonZeroU32::new(2).unwrap());
    let mut events = source.with(builder(&service.url()).retry(twice)).list(ListEvents::new());
    let Error::Api(response) = error(&mut events).await else { panic!("no response") };
    assert_eq!((response.status(), response.attempts()), (503, 4));
    assert_eq!((events.stats().requests, events.stats().retries), (4, 3));
    assert_eq!(source.rejected_tokens(), [None, Some("t0".into()), None, Some("t1".into())]);
}

/// A source that refuses must be able to stop a client between two requests, however long the pace or a pause
/// holds the second one back.
#[tokio::test]
async fn every_request_is_paced_first_and_gets_its_token_then() {
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let source = Source::new([Err(Error::Config("the lease is over".into()))]);
    let paced = RateLimit::per_minute(NonZeroU32::MIN);
    let client = source.with(builder(&service.url()).rate_limit(paced));
    let mut events = client.list(ListEvents::new());
    within(async {
        while service.count() == 0 {
            assert!(poll!(events.next()).is_pending());
            support::settle().await;
        }
    })
    .await;
    for _ in 0..20 {
        assert!(poll!(events.next()).is_pending());
        support::settle().await;
    }
    assert_eq!(
        source.rejected_tokens(),
        [None],
        "the second request waits for its pace before it gets a token"
    );

    let mut events = source.client(&service.url()).list(ListEvents::new());
    assert_eq!(kind(&error(&mut events).await), "Config");
    assert_eq!(source.rejected_tokens(), [None, None, Some("t0".into())]);
    assert_eq!(events.stats().requests, 1, "the refused request is not sent");
}

#[tokio::test]
async fn a_second_rejection_is_the_error() {
    let service = Service::start(|_| refusal(401)).await;
    // Whatever token came back, the same one included.
    for next in ["t1", "t0"] {
        let source = Source::tokens(&[next]);
        let before = service.count();
        let mut events = source.client(&service.url()).list(ListEvents::new());
        let refused = error(&mut events).await;
        assert!(refused.is_auth() && !refused.is_transient(), "{refused:?}");
        let Error::Api(response) = &refused else { panic!("{refused:?}") };
        assert_eq!((response.status(), response.attempts()), (401, 2));
        assert_eq!(service.count() - before, 2);
        assert_eq!(source.rejections(), ["t0".into()]);
        assert!(events.cursor().is_some());
    }
}

#[tokio::test]
async fn a_plain_token_as_a_source_is_one_that_never_changes() {
    let service = Service::start(|call| if call.n == 0 { refusal(401) } else { call.page("a", None) }).await;
    let client = builder(&service.url()).token_source(Token::from("t0")).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);
    assert_eq!(service.header("authorization").await, ["Bearer t0", "Bearer t0"]);
}

#[tokio::test]
async fn the_later_of_token_and_token_source_is_used() {
    let service = Service::start(|_| refusal(401)).await;
    let source = Source::tokens(&["t1"]);
    let fixed = builder(&service.url()).token_source(source.clone()).token("fixed").build().unwrap();
    assert_eq!(kind(&fixed.get("a").await.unwrap_err()), "Api 401");
    assert_eq!(service.header("authorization").await, ["Bearer fixed"]);
    assert!(source.rejected_tokens().is_empty());
    let changing = builder(&service.url()).token("fixed").token_source(source).build().unwrap();
    assert_eq!(kind(&changing.get("a").await.unwrap_err()), "Api 401");
    assert_eq!(service.header("authorization").await, ["Bearer fixed", "Bearer t0", "Bearer t1"]);
}

#[tokio::test]
async fn however_many_streams_run_one_call_is_in_progress() {
    const STREAMS: usize = 8;
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let source = Source::tokens(&["t1"]);
    source.0.permits.forget_permits(100);
    let client = source.client(&service.url());
    let mut streams: FuturesUnordered<_> = (0..STREAMS)
        .map(|n| {
            let client = if n % 2 == 0 { client.clone() } else { client.clone().clone() };
            async move { read(client.list(ListEvents::new())).await }
        })
        .collect();
    within(async {
        while service.count() < STREAMS {
            assert!(streams.next().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    })
    .await;
    source.0.permits.add_permits(100);
    while let Some(read) = within(streams.next()).await {
        assert_eq!(read, all_pages());
    }
    assert_eq!(source.rejections(), ["t0".into()]);
    assert_eq!(service.count(), STREAMS * 11);
}

#[tokio::test]
async fn an_error_of_the_source_is_that_of_the_attempt() {
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let silent = || Err(TransportError::new("the vault is sealed", "503").into());
    // One that may pass is tried again, by a new attempt.
    let source = Source::new([silent(), silent(), Ok("t1".into())]);
    let mut events = source.client(&service.url()).list(ListEvents::new());
    assert_eq!(read(&mut events).await, all_pages());
    assert_eq!(source.rejections(), ["t0".into(), "t0".into(), "t0".into()]);
    assert_eq!((events.stats().requests, events.stats().retries), (13, 3));
    // Any other ends the stream, which can be resumed.
    let source = Source::new([Err(Error::Config("no key".into())), Ok("t1".into())]);
    let mut events = source.client(&service.url()).list(ListEvents::new());
    assert_eq!(kind(&error(&mut events).await), "Config");
    assert!(within(events.next()).await.is_none());
    events.resume();
    assert_eq!(read(&mut events).await, all_pages());
}

#[tokio::test]
async fn an_invalid_token_is_not_sent() {
    let service = Service::list(&["a"]).await;
    for token in ["", "t\n0", "Bearer t0"] {
        let source = Source::tokens(&[]);
        *source.0.now.lock().unwrap() = token.into();
        assert_eq!(read(source.client(&service.url()).list(ListEvents::new())).await, ["Config"]);
    }
    assert_eq!(service.count(), 0);
    let refusing = Service::start(|_| refusal(401)).await;
    let source = Source::tokens(&["t\u{7}1"]);
    assert_eq!(read(source.client(&refusing.url()).list(ListEvents::new())).await, ["Config"]);
    assert_eq!(refusing.count(), 1);
}

#[tokio::test]
async fn a_token_of_a_source_is_shown_nowhere() {
    for status in [200, 401, 403, 503] {
        let service = Service::start(move |call| {
            let body = format!(r#"{{"message":"no {}","trackingId":"{}"}}"#, bearer(call), bearer(call));
            ResponseTemplate::new(status)
                .append_header("TrackingID", bearer(call))
                .set_body_raw(body, bearer(call))
        })
        .await;
        let source = Source::tokens(&[TOKEN]);
        *source.0.now.lock().unwrap() = format!("0{TOKEN}").into();
        let client = source.client(&service.url());
        let error = within(client.get("a")).await.unwrap_err();
        let mut shown = format!("{error} {error:?} {client:?} {source:?}");
        write!(shown, "{:?} {:?}", builder("http://localhost").token_source(source), error.tracking_id())
            .unwrap();
        if let Error::Api(response) = &error {
            write!(shown, "{} {} {:?}", response.message(), response.body(), response.errors()).unwrap();
        }
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[tokio::test]
async fn a_source_that_shows_itself_is_not_shown() {
    #[derive(Debug)]
    struct Loud {
        #[expect(dead_code, reason = "it would be shown")]
        token: &'static str,
    }
    impl TokenSource for Loud {
        fn token<'a>(&'a self, _: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
            Box::pin(async { Ok(TOKEN.into()) })
        }
    }
    let builder = Client::builder().token_source(Loud { token: TOKEN });
    let shown = format!("{builder:?} {builder:#?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn responses_are_counted_by_status_for_all_clones() {
    let service = Service::start(|call| match call.n {
        0 => refusal(401),
        1 => refusal(503),
        2 => call.page("a", Some("1")),
        3 => ok("x".repeat(2000)),
        _ => refusal(404),
    })
    .await;
    let source = Source::tokens(&["t1"]);
    let client = source.with(builder(&service.url()).max_page_bytes(1000));
    assert!(client.responses().is_empty());
    let mut events = client.clone().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["a"]);
    assert_eq!(kind(&error(&mut events).await), "Decode 200");
    within(client.get("a")).await.unwrap_err();
    assert_eq!(client.responses(), BTreeMap::from([(200, 2), (401, 1), (404, 1), (503, 1)]));
    assert_eq!(client.responses(), client.clone().responses());
    // A request without a response isn't counted.
    let nobody = builder("http://127.0.0.1:1/v1").build().unwrap();
    within(nobody.get("a")).await.unwrap_err();
    assert!(nobody.responses().is_empty());
}

#[tokio::test]
async fn the_service_time_is_a_date_on_which_three_responses_agree() {
    let wire = support::Wire::bind().await;
    let client = wire.client();
    assert_eq!(client.service_time(), None);
    let get = async |date: &str| {
        let response = http(404, &[("Date", date)], "{}");
        let (refused, _) = within(async { tokio::join!(client.get("a"), wire.respond(response)) }).await;
        assert_eq!(kind(&refused.unwrap_err()), "Api 404");
        client.clone().service_time()
    };
    assert_eq!(get("soon").await, None);
    assert_eq!(get("Mon, 05 Jan 2026 09:00:00 GMT").await, None);
    assert_eq!(get("Mon, 05 Jan 2026 09:00:00 GMT").await, None);
    let nine: DateTime<Utc> = "2026-01-05T09:00:00Z".parse().unwrap();
    let first = get("Mon, 05 Jan 2026 09:00:00 GMT").await.unwrap();
    assert!((nine - TimeDelta::seconds(20)..nine + TimeDelta::seconds(20)).contains(&first), "{first}");
    // It continues by itself, whatever the time of day is here.
    assert!(client.service_time().unwrap() >= first);
    assert!(get("soon").await.unwrap() >= first);
    let single = get("Mon, 05 Jan 2026 10:00:00 GMT").await.unwrap();
    assert!(single - first < TimeDelta::minutes(1), "{single}");
    get("Mon, 05 Jan 2026 10:00:00 GMT").await;
    let later = get("Mon, 05 Jan 2026 10:00:00 GMT").await.unwrap();
    assert!(later - first > TimeDelta::minutes(59), "{later}");
}

#[tokio::test]
async fn a_shared_or_boxed_source_is_a_source() {
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let source = || Source::tokens(&["t1"]);
    let build = |builder: ClientBuilder| builder.build().unwrap();
    let shared: Arc<dyn TokenSource> = Arc::new(source());
    let boxed: Box<dyn TokenSource> = Box::new(source());
    for client in [
        build(builder(&service.url()).token_source(Arc::new(source()))),
        build(builder(&service.url()).token_source(Box::new(source()))),
        build(builder(&service.url()).token_source(shared)),
        build(builder(&service.url()).token_source(boxed)),
    ] {
        assert_eq!(read(client.list(ListEvents::new())).await, all_pages());
    }
}

#[tokio::test]
async fn a_closure_is_a_source_that_gets_the_rejected_token() {
    let service = Service::start(|call| pages(call, |token, _| token == "t1")).await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let source = token_fn(move |rejected: Option<Token>| {
        let token =
            if log.lock().unwrap().contains(&Some("t0".into())) || rejected.is_some() { "t1" } else { "t0" };
        log.lock().unwrap().push(rejected);
        async move { Ok(token.into()) }
    });
    assert_eq!(format!("{source:?}"), "token_fn(…)");
    let client = builder(&service.url()).token_source(source).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, all_pages());
    assert_eq!(calls.lock().unwrap()[..2], [None, Some("t0".into())]);
    let failing = token_fn(|_| async { Err(TransportError::new("the vault is sealed", "503").into()) });
    let client = builder(&service.url()).token_source(failing).retry(RetryPolicy::never()).build().unwrap();
    let error = within(client.get("a")).await.unwrap_err();
    assert!(error.is_renewal() && error.is_transient(), "{error:?}");
    let nobody = builder("http://127.0.0.1:1/v1").retry(RetryPolicy::never()).build().unwrap();
    assert!(!within(nobody.get("a")).await.unwrap_err().is_renewal());
}
