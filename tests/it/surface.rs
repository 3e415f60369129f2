//! The names and signatures of the public surface, and the traits of its types. Most of
//! this is tested by compiling.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    fmt::{Debug, Display},
    hash::Hash,
    num::NonZeroU32,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, future::BoxFuture, stream::FusedStream};
use serde::{Serialize, de::DeserializeOwned};
use webex_events::{
    ApiError, Checkpoint, Client, ClientBuilder, CodeLogin, Cursor, DeviceLogin, Error, Event, EventData,
    EventStream, EventType, FieldError, Follow, HttpBody, HttpService, LinkErrorKind, ListEvents, LoginError,
    MalformedItem, OAuth, OAuthLogin, Page, Pages, RateLimit, Resource, Result, RetryPolicy, Slice,
    SliceEvents, SliceItem, SliceStream, Slices, Stats, Take, Token, TokenSource, TransportError,
    TransportErrorKind, WithCursors, token_fn,
};

/// Fails to compile if the type has the trait.
macro_rules! lacks {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<A> {
            fn probe() {}
        }
        struct Has;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
        <$type as Ambiguous<_>>::probe();
    }};
}

fn shared<T: Debug + Send + Sync + 'static>() {}
fn stream<Item, T>()
where
    T: Stream<Item = Result<Item>> + FusedStream + Debug + Send + Unpin + 'static,
{
}
fn name<T>()
where
    T: Display + FromStr + From<String> + Serialize + DeserializeOwned + Eq + Hash + Clone,
    T: for<'a> From<&'a str>,
{
}

#[test]
fn public_types_can_be_shared_and_shown() {
    shared::<Client>();
    shared::<ClientBuilder>();
    shared::<Token>();
    shared::<OAuth>();
    shared::<OAuthLogin>();
    shared::<CodeLogin>();
    shared::<DeviceLogin>();
    shared::<LoginError>();
    shared::<ListEvents>();
    shared::<Page>();
    shared::<Event>();
    shared::<EventData>();
    shared::<FieldError>();
    shared::<Resource>();
    shared::<EventType>();
    shared::<Cursor>();
    shared::<Slice>();
    shared::<Checkpoint>();
    shared::<Slices>();
    shared::<SliceItem>();
    shared::<RetryPolicy>();
    shared::<RateLimit>();
    shared::<Stats>();
    shared::<Error>();
    shared::<ApiError>();
    shared::<MalformedItem>();
    shared::<LinkErrorKind>();
}

#[test]
fn streams_are_fused_and_can_move_between_tasks() {
    stream::<Event, EventStream>();
    stream::<Event, Take>();
    stream::<(Event, Option<Cursor>), WithCursors>();
    stream::<Page, Pages>();
    stream::<SliceItem, SliceStream>();
    stream::<Event, Follow>();
    stream::<Event, SliceEvents>();
}

#[test]
fn values_are_cloned_compared_and_stored() {
    fn equal<T: Eq>() {}
    fn hashed<T: Hash>() {}
    fn value<T: Clone + PartialEq + Debug>() {}
    fn stored<T: Serialize + DeserializeOwned>() {}
    fn cloned<T: Clone>() {}
    value::<ListEvents>();
    value::<EventData>();
    value::<Cursor>();
    value::<Event>();
    cloned::<Client>();
    cloned::<OAuth>();
    stored::<EventData>();
    stored::<Cursor>();
    stored::<Event>();
    stored::<Slice>();
    stored::<Checkpoint>();
    value::<Checkpoint>();
    assert_eq!(ListEvents::default(), ListEvents::new());
    assert_eq!(EventData::default(), EventData::default());
    equal::<ListEvents>();
    equal::<Cursor>();
    hashed::<ListEvents>();
    hashed::<Cursor>();
    hashed::<Event>();
    hashed::<Slice>();
    let _: Result<Cursor> = Cursor::from_page_url("https://webexapis.com/v1/events");
    equal::<Slice>();
}

#[test]
fn a_token_can_not_be_shown_or_stored() {
    fn into<T: From<String> + for<'a> From<&'a str>>() {}
    lacks!(Token: Display);
    lacks!(Token: Serialize);
    into::<Token>();
}

#[test]
fn names_read_from_any_text() {
    name::<Resource>();
    name::<EventType>();
    for (known, text) in [
        (Resource::AttachmentActions, "attachmentActions"),
        (Resource::BusinessTexts, "businessTexts"),
        (Resource::CallRecords, "call_records"),
        (Resource::ConvergedRecordings, "convergedRecordings"),
        (Resource::FileTranscodings, "file_transcodings"),
        (Resource::Files, "files"),
        (Resource::MeetingMessages, "meetingMessages"),
        (Resource::MeetingTranscripts, "meetingTranscripts"),
        (Resource::Meetings, "meetings"),
        (Resource::Memberships, "memberships"),
        (Resource::Messages, "messages"),
        (Resource::Rooms, "rooms"),
        (Resource::Tabs, "tabs"),
    ] {
        assert_eq!((known.as_str(), known.to_string()), (text, text.to_owned()));
        assert_eq!(Resource::from(text), known);
        assert_eq!(Resource::from(text.to_owned()), known);
        assert_eq!(text.parse::<Resource>().ok(), Some(known.clone()));
        assert_eq!(serde_json::to_value(&known).unwrap(), text);
        assert_eq!(serde_json::from_value::<Resource>(text.into()).unwrap(), known);
    }
    for (known, text) in [
        (EventType::Created, "created"),
        (EventType::Updated, "updated"),
        (EventType::Deleted, "deleted"),
        (EventType::Ended, "ended"),
        (EventType::Read, "read"),
    ] {
        assert_eq!((known.as_str(), known.to_string()), (text, text.to_owned()));
        assert_eq!(EventType::from(text), known);
        assert_eq!(text.parse::<EventType>().ok(), Some(known.clone()));
        assert_eq!(serde_json::to_value(&known).unwrap(), text);
        assert_eq!(serde_json::from_value::<EventType>(text.into()).unwrap(), known);
    }
    for text in ["whiteboards", "Messages", "", " messages"] {
        let (resource, event_type) = (Resource::from(text), EventType::from(text.to_owned()));
        assert_eq!((resource.as_str(), event_type.as_str()), (text, text));
        assert_eq!(text.parse::<Resource>().ok(), Some(resource.clone()));
        let json = serde_json::to_string(&resource).unwrap();
        assert_eq!(serde_json::from_str::<Resource>(&json).unwrap(), resource);
    }
}

#[test]
fn a_builder_takes_every_setting() {
    fn sends<F: Future<Output = Result<Event>> + Send>(_: F) {}
    let builder: ClientBuilder = Client::builder()
        .token("token")
        .token(String::from("token"))
        .token(Token::from("token"))
        .base_url("https://api-usgov.webex.com/v1")
        .base_url(String::from("https://webexapis.com/v1"))
        .allow_origin("https://analytics.webexapis.com")
        .allow_origin(String::from("http://127.0.0.1:1"))
        .retry(RetryPolicy::default())
        .rate_limit(RateLimit::per_minute(NonZeroU32::MIN))
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(2))
        .attempt_timeout(Duration::from_secs(3))
        .max_page_bytes(1_usize)
        .user_agent("exporter/1")
        .user_agent(String::from("exporter/1"))
        .gzip(false)
        .header("X-One", "1")
        .proxy("http://127.0.0.1:1");
    let builder: ClientBuilder = builder.token_source(Token::from("token"));
    let client: Result<Client> = builder.build();
    let clone: Client = client.unwrap().clone();
    let _: Result<Client> = Client::new("token");
    let _: Result<Client> = Client::new(String::from("token"));
    let _: EventStream = clone.list(ListEvents::new());
    sends(clone.get("id"));
    let _: fn(ClientBuilder, &[u8]) -> ClientBuilder = |builder, pem| builder.root_certificate(pem);
    let _: fn(ClientBuilder, &[u8]) -> ClientBuilder = |builder, pem| builder.client_identity(pem);
    let _: fn() -> Result<Client> = Client::from_env;
    sends(async { clone.get_json::<Event>("events/id").await });
    let _: &str = webex_events::FEDRAMP_BASE_URL;
    let _: fn(&Client, &Cursor) -> EventStream = Client::resume;
    let _: Option<DateTime<Utc>> = clone.service_time();
    let _: BTreeMap<u16, u64> = clone.responses();
}

#[test]
fn tokens_come_from_a_source_of_any_kind() {
    fn source<T: TokenSource + Clone>() {}
    #[derive(Debug)]
    struct Own;
    impl TokenSource for Own {
        fn token<'a>(&'a self, rejected: Option<&'a Token>) -> BoxFuture<'a, Result<Token>> {
            Box::pin(async move { rejected.cloned().ok_or_else(|| Error::Config("none".into())) })
        }
    }
    source::<Token>();
    source::<OAuth>();
    let _: ClientBuilder = Client::builder().token_source(Own);
    let missing: Result<OAuth> = OAuth::new("id", String::from("secret"), "nowhere.json");
    assert!(matches!(missing, Err(Error::Config(_))));
    let _: fn(OAuth, String) -> OAuth = OAuth::base_url;
    let _: fn(OAuth, &'static str) -> OAuth = OAuth::proxy;
    let _: fn(OAuth, &[u8]) -> OAuth = |oauth, pem| oauth.root_certificate(pem);
    let _: fn(&OAuth) -> Option<DateTime<Utc>> = OAuth::expires_at;
}

#[test]
fn a_source_can_be_shared_boxed_or_a_closure() {
    fn source<T: TokenSource>(source: T) -> ClientBuilder {
        Client::builder().token_source(source)
    }
    let _: ClientBuilder = source(Arc::new(Token::from("token")));
    let _: ClientBuilder = source(Arc::new(Token::from("token")) as Arc<dyn TokenSource>);
    let _: ClientBuilder = source(Box::new(Token::from("token")) as Box<dyn TokenSource>);
    let closure = token_fn(|rejected: Option<Token>| async move {
        rejected.ok_or_else(|| TransportError::new("no token", "sealed").into())
    });
    let _: ClientBuilder = source(closure);
}

#[test]
fn an_http_service_is_a_seam_of_the_client_and_of_oauth() {
    #[derive(Debug)]
    struct Own;
    impl HttpService for Own {
        fn call(
            &self,
            _: http::Request<bytes::Bytes>,
        ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
            Box::pin(async {
                let chunks = futures::stream::iter([Ok::<_, TransportError>(bytes::Bytes::new())]);
                Ok(http::Response::new(HttpBody::from_stream(chunks)))
            })
        }
    }
    fn body<T: Stream<Item = Result<bytes::Bytes, TransportError>> + From<bytes::Bytes> + Debug + Send>() {}
    body::<HttpBody>();
    let _: fn(ClientBuilder) -> ClientBuilder = |builder| builder.http_service(Own);
    let _: fn(ClientBuilder, Arc<dyn HttpService>) -> ClientBuilder = ClientBuilder::http_service;
    let _: fn(ClientBuilder, Box<dyn HttpService>) -> ClientBuilder = ClientBuilder::http_service;
    let _: fn(OAuth) -> OAuth = |oauth| oauth.http_service(Own);
    let error = TransportError::with_kind(TransportErrorKind::Dns, "no address", "none");
    assert_eq!(error.kind(), TransportErrorKind::Dns);
}

#[test]
fn followers_and_slices_have_the_methods_of_the_design() {
    fn written<T: Serialize>() {}
    written::<Stats>();
    let now: DateTime<Utc> = Utc::now();
    assert_eq!(Checkpoint::from(now), Checkpoint::at(now));
    let query = ListEvents::new().from(now - TimeDelta::days(1)).to(now);
    let slices: Slices = query.slices(Duration::from_secs(3600)).unwrap().margin(Duration::from_secs(1));
    let _: usize = slices.len();
    let _: fn(&Slice) -> DateTime<Utc> = Slice::start;
    let _: fn(&Slice) -> DateTime<Utc> = Slice::end;
    let _: fn(&Slice) -> ListEvents = Slice::query;
    let _: fn(&mut SliceStream) -> Option<Slice> = SliceStream::skip_failed;
    let _: fn(&mut SliceStream) = SliceStream::resume;
    let _: fn(SliceStream) -> SliceEvents = SliceStream::events;
    let _: fn(&SliceStream) -> Stats = SliceStream::stats;
    let _: fn(&SliceEvents) -> Option<&Slice> = SliceEvents::failed;
    let _: fn(Follow, Duration) -> Follow = Follow::every;
    let _: fn(Follow, Duration) -> Follow = Follow::settle;
    let _: fn(&Follow) -> Checkpoint = Follow::checkpoint;
    let _: fn(&Follow) -> Duration = Follow::lag;
    let _: fn(&Follow) -> bool = Follow::is_caught_up;
    let _: fn(&mut Follow) = Follow::resume;
    let _: fn(&Follow) -> Stats = Follow::stats;
}

#[test]
fn a_query_takes_every_filter() {
    let now: DateTime<Utc> = Utc::now();
    let query: ListEvents = ListEvents::new()
        .resource(Resource::Messages)
        .resource("messages")
        .resource(String::from("messages"))
        .event_type(EventType::Created)
        .event_type("created")
        .actor_id("id")
        .actor_id(String::from("id"))
        .from(now - TimeDelta::days(7))
        .to(now)
        .page_size(1000_u16)
        .param("hasAttachments", String::from("true"));
    assert_eq!(query.clone(), query);
    assert_ne!(query, ListEvents::new());
}

#[tokio::test]
async fn streams_have_the_methods_of_the_design() {
    let client = Client::new("token").unwrap();
    let mut stream: EventStream = client.list(ListEvents::new()).prefetch(0_usize);
    let cursor: Option<Cursor> = stream.cursor();
    stream.resume();
    let stats: Stats = stream.stats();
    assert_eq!((stats.pages, stats.events, stats.malformed, stats.requests), (0, 0, 0, 0));
    assert_eq!((stats.retries, stats.bytes, stats.waited), (0, 0, Duration::ZERO));
    let mut take: Take = stream.take(3_usize);
    let _: (Option<Cursor>, Stats) = (take.cursor(), take.stats());
    take.resume();
    let mut pages: Pages = take.pages();
    let _: (Option<Cursor>, Stats) = (pages.cursor(), pages.stats());
    pages.resume();
    let _: Pages = client.resume(&cursor.clone().unwrap()).pages();
    let mut with_cursors: WithCursors = client.resume(&cursor.unwrap()).with_cursors();
    let _: (Option<Cursor>, Stats) = (with_cursors.cursor(), with_cursors.stats());
    with_cursors.resume();
}

/// Never called: that it compiles is the test.
fn _a_page_is_read_by_its_items(page: Page) -> Vec<Result<Event>> {
    let _: Option<&Cursor> = page.cursor();
    let _: Option<&Cursor> = page.previous();
    let _: Option<&str> = page.tracking_id();
    let _: &Vec<Result<Event>> = &page.items;
    page.into_iter().collect()
}

#[test]
fn an_event_has_the_methods_of_the_design() {
    let event: Event = Event::from_json(crate::support::event("a")).unwrap();
    let _: Result<Event> = Event::from_json("{}");
    let _: (&str, &Resource, &EventType) = (event.id(), event.resource(), event.event_type());
    let _: [Option<&str>; 3] = [event.actor_id(), event.org_id(), event.app_id()];
    let _: DateTime<Utc> = event.created();
    let data: Result<EventData> = event.data();
    let _: serde_json::Map<String, serde_json::Value> = data.unwrap().extra;
    let errors: Result<BTreeMap<String, FieldError>> = event.errors();
    assert!(errors.unwrap().is_empty());
    let _: (&str, &str, bool) = (event.raw(), event.data_raw(), event.has_errors());
    let _: Result<serde_json::Value> = event.data_as();
    let _: Event = event.into_owned();
}

#[test]
fn an_error_has_the_methods_of_the_design() {
    let error: Error = Client::builder().build().unwrap_err();
    let _: &dyn StdError = &error;
    let _: (Option<u16>, Option<&str>, Option<Duration>) =
        (error.status(), error.tracking_id(), error.retry_after());
    let _: Option<LinkErrorKind> = error.link_kind();
    let predicates: [bool; 11] = [
        error.is_transient(),
        error.is_auth(),
        error.is_forbidden(),
        error.is_not_found(),
        error.is_conflict(),
        error.is_gone(),
        error.is_locked(),
        error.is_precondition_required(),
        error.is_rate_limited(),
        error.is_server_error(),
        error.is_beyond_retention(),
    ];
    assert_eq!(predicates, [false; 11]);
    let _: fn(&ApiError) -> u16 = ApiError::status;
    let _: fn(&ApiError) -> &str = ApiError::message;
    let _: fn(&ApiError) -> &[String] = ApiError::errors;
    let _: fn(&ApiError) -> Option<&str> = ApiError::tracking_id;
    let _: fn(&ApiError) -> Option<Duration> = ApiError::retry_after;
    let _: fn(&ApiError) -> &str = ApiError::body;
    let _: fn(&ApiError) -> u32 = ApiError::attempts;
    let _: fn(&MalformedItem) -> &str = MalformedItem::raw;
    let _: fn(&MalformedItem) -> usize = MalformedItem::index;
    let _: fn(&FieldError) -> (&String, &String) = |error| (&error.code, &error.reason);
}

#[test]
fn every_error_has_its_variant() {
    let name = |error: &Error| match error {
        Error::Api(error) => {
            let _: fn(Box<ApiError>) -> Error = Error::Api;
            let _: &ApiError = error;
            "api"
        }
        Error::Transport { .. } => "transport",
        Error::Decode { .. } => "decode",
        Error::Item(item) => {
            let _: fn(Box<MalformedItem>) -> Error = Error::Item;
            let _: &MalformedItem = item;
            "item"
        }
        Error::Link { .. } => "link",
        Error::Cursor { .. } => "cursor",
        Error::Query(..) => "query",
        Error::Config(..) => "config",
        Error::Store { .. } => "store",
        Error::Clock { .. } => "clock",
        _ => "new",
    };
    assert_eq!(name(&Client::builder().build().unwrap_err()), "config");
    assert_eq!(name(&Event::from_json("7").unwrap_err()), "item");
    assert_eq!(name(&"?".parse::<Cursor>().unwrap_err()), "cursor");
    for kind in [
        LinkErrorKind::Malformed,
        LinkErrorKind::Ambiguous,
        LinkErrorKind::CrossOrigin,
        LinkErrorKind::Cycle,
        LinkErrorKind::NoProgress,
    ] {
        assert_eq!(kind, kind.clone());
    }
}

#[test]
fn policies_are_built_from_their_defaults() {
    let one = NonZeroU32::MIN;
    let _: RetryPolicy = RetryPolicy::never();
    let _: RetryPolicy = RetryPolicy::default()
        .attempts(one)
        .connect_attempts(one)
        .backoff(Duration::from_millis(500), Duration::from_secs(30))
        .max_wait(Duration::from_secs(3600))
        .max_elapsed(Duration::from_secs(7200));
    let _: RateLimit = RateLimit::per_second(one).burst(one);
    let _: RateLimit = RateLimit::per_minute(one);
}

#[test]
fn an_error_travels_as_any_error_does() {
    fn run() -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        Client::new("")?;
        Ok(())
    }
    assert!(run().is_err());
}
