//! Secrets: no error and no `Debug` output shows a token or a query string.

use std::{
    error::Error as StdError,
    fmt::{Display, Write as _},
};

use futures::StreamExt;
use webex_events::{Client, ClientBuilder, Cursor, Error, Event, ListEvents, Token};
use wiremock::ResponseTemplate;

use crate::support::{
    self, Served, Service, TOKEN, builder, error, http, kind, ok, page, read_some, refusal, within,
};

const SECRET: &str = "qUeRySeCrEt";

/// A URL with a secret in its query.
fn url() -> String {
    format!("https://webexapis.com/v1/events?max=5&cursor={SECRET}&x={SECRET}")
}

/// The token and the URL as a service could repeat them.
fn echoes() -> Vec<String> {
    vec![
        format!("Authorization: Bearer {TOKEN}"),
        format!("{TOKEN}{TOKEN}"),
        format!("(url = {}, error = 'no')", url()),
        url(),
        format!("GET /v1/events?cursor={SECRET} HTTP/1.1"),
        format!("line\\none\\r\\nGET /v1/events?cursor={SECRET}"),
    ]
}

/// The same with the escapes that writers of JSON use: of PHP, of Gson, of others.
fn escaped_echoes() -> Vec<String> {
    let slash = |text: &str| text.replace('/', "\\/");
    let html = |text: &str| text.replace('=', "\\u003d").replace('&', "\\u0026");
    let all = |text: &str| html(text).replace('/', "\\u002f").replace('+', "\\u002B");
    let url = url();
    vec![slash(TOKEN), html(TOKEN), all(TOKEN), slash(&url), html(&url), all(&url)]
}

/// Display and Debug of an error and of all its sources, after a look at their form.
fn shown(error: &Error) -> String {
    let line = error.to_string();
    assert!(!line.is_empty() && !line.contains(['\n', '\r']), "{line:?} isn't one line");
    if let Some(source) = error.source() {
        assert!(!line.contains(&source.to_string()), "{line:?} repeats its source {source}");
    }
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(error) = source {
        let line = error.to_string();
        assert!(!line.contains(['\n', '\r']), "{line:?} isn't one line");
        writeln!(text, "{error}\n{error:?}").unwrap();
        source = error.source();
    }
    text
}

fn is_discreet(text: &str) {
    for secret in [TOKEN, SECRET, "s3cr3t"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

fn discreet(error: &Error) {
    is_discreet(&shown(error));
}

/// Checks everything that a list shows after a response with this body.
async fn responses_are_discreet(text: &str) {
    for status in [400, 403, 404, 503] {
        let text = text.to_owned();
        let service = Service::start(move |_| {
            ResponseTemplate::new(status).set_body_raw(text.clone(), "application/json")
        })
        .await;
        let client = service.client();
        let mut events = client.list(ListEvents::new());
        let cursor = events.cursor().unwrap();
        let refused = error(&mut events).await;
        discreet(&refused);
        let Error::Api(response) = &refused else { panic!("{refused:?}") };
        // The texts for people must not contain the token either.
        for text in
            [response.message(), response.tracking_id().unwrap_or_default(), &response.errors().join(" ")]
        {
            assert!(!text.contains("s3cr3t"), "{text}");
        }
        discreet(&error(&mut client.resume(&cursor)).await);
        is_discreet(&format!("{events:?} {client:?} {cursor:?}"));
    }
}

#[tokio::test]
async fn a_response_that_repeats_the_request_is_shown_without_its_secrets() {
    for echo in echoes() {
        responses_are_discreet(&format!(r#"{{"message":"{echo}","errors":[{{"description":"{echo}"}}]}}"#))
            .await;
        responses_are_discreet(&format!("<html>{echo}</html>")).await;
    }
}

#[tokio::test]
async fn a_response_that_repeats_it_in_the_escapes_of_json_is_shown_without_its_secrets() {
    for echo in escaped_echoes() {
        responses_are_discreet(&format!(r#"{{"message":"{echo}","errors":[{{"description":"{echo}"}}]}}"#))
            .await;
    }
}

/// The token as services write it in URLs and in HTML, and in several of these forms on top of each other.
fn encoded_echoes() -> Vec<String> {
    let percent = |text: &str, at: usize| -> String {
        let encode = |(n, c): (usize, char)| {
            if n % at == 0 || !c.is_alphanumeric() { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
        };
        text.chars().enumerate().map(encode).collect()
    };
    let html = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("&#{};", u32::from(c)) })
            .collect()
    };
    vec![percent(TOKEN, 1), percent(TOKEN, 5), percent(TOKEN, 1000), html(TOKEN), html(&percent(TOKEN, 3))]
}

#[tokio::test]
async fn a_token_in_the_encodings_of_urls_and_html_is_not_shown() {
    for echo in encoded_echoes() {
        responses_are_discreet(&format!(r#"{{"message":"{echo}","errors":[{{"description":"{echo}"}}]}}"#))
            .await;
        responses_are_discreet(&format!("<html>{echo}</html>")).await;
        pages_are_discreet(&format!("<html>{echo}</html>")).await;
        let service = Service::start(move |_| {
            let body = format!(r#"{{"message":"{echo}"}}"#);
            ResponseTemplate::new(400).set_body_raw(body, "application/json")
        })
        .await;
        let Error::Api(response) = error(&mut service.client().list(ListEvents::new())).await else {
            panic!()
        };
        // Nothing of it is left that could be decoded.
        assert_eq!((response.message(), response.body()), ("…", r#"{"message":"…"}"#));
    }
}

#[tokio::test]
async fn the_query_of_the_request_is_shown_in_no_form() {
    let forms: [fn(&str) -> String; 4] = [
        str::to_owned,
        |query| query.replace('&', "&amp;"),
        |query| query.replace('%', "%25").replace('=', "%3D").replace('&', "%26"),
        |query| query.replace('&', "\\u0026").replace('=', "\\u003d"),
    ];
    for form in forms {
        let service = Service::start(move |call| {
            let query = form(call.request.url.query().unwrap_or_default());
            let body =
                format!(r#"{{"message":"can't do: {query}","errors":[{{"description":"[{query}]"}}]}}"#);
            ResponseTemplate::new(400)
                .set_body_raw(body, "application/json")
                .append_header("TrackingID", query)
        })
        .await;
        let query = ListEvents::new().actor_id("Y2/qUeRy=").param("x", SECRET);
        let refused = error(&mut service.client().list(query)).await;
        discreet(&refused);
        let Error::Api(response) = &refused else { panic!("{refused:?}") };
        assert_eq!((response.message(), response.tracking_id()), ("can't do: …", Some("…")));
        assert_eq!(response.errors(), ["[…]"]);
        assert!(!response.body().contains(SECRET), "{}", response.body());
    }
}

#[tokio::test]
async fn a_token_cut_in_two_by_the_end_of_a_body_is_not_shown() {
    for short in (0..TOKEN.len() + 2).step_by(3) {
        let padding = "x".repeat((64 << 10) - short);
        let service = Service::start(move |_| {
            ResponseTemplate::new(400).set_body_string(format!("{padding}{TOKEN} and more"))
        })
        .await;
        let Error::Api(response) = error(&mut service.client().list(ListEvents::new())).await else {
            panic!()
        };
        assert!(!response.body().contains(&TOKEN[..5]), "{short}");
    }
}

#[tokio::test]
async fn a_tracking_id_is_shown_without_its_secrets() {
    for echo in echoes() {
        responses_are_discreet(&format!(r#"{{"trackingId":"{echo}"}}"#)).await;
        let service = Service::start(move |_| {
            let echo = echo.replace('\\', " ");
            ResponseTemplate::new(200).append_header("TrackingID", &*echo).set_body_raw("{}", &echo)
        })
        .await;
        discreet(&error(&mut service.client().list(ListEvents::new())).await);
    }
}

/// Checks everything that a list shows after a 200 with this body.
async fn pages_are_discreet(text: &str) {
    let text = text.to_owned();
    let service = Service::start(move |_| {
        ResponseTemplate::new(200)
            .append_header("TrackingID", format!("ROUTER_{TOKEN}"))
            .set_body_raw(text.clone(), &format!("text/{TOKEN}"))
    })
    .await;
    let refused = error(&mut service.client().list(ListEvents::new())).await;
    assert_eq!(kind(&refused), "Decode 200");
    discreet(&refused);
    discreet(&within(service.client().get("a")).await.unwrap_err());
}

#[tokio::test]
async fn a_page_that_repeats_the_request_is_shown_without_its_secrets() {
    for echo in echoes() {
        for text in [format!("<html>{echo}</html>"), format!(r#"{{"echo":"{echo}"}}"#), echo.clone()] {
            pages_are_discreet(&text).await;
        }
    }
}

#[tokio::test]
async fn a_page_that_repeats_it_in_the_escapes_of_json_is_shown_without_its_secrets() {
    for echo in escaped_echoes() {
        pages_are_discreet(&format!(r#"{{"echo":"{echo}"}}"#)).await;
    }
}

#[tokio::test]
async fn a_page_that_is_too_long_is_shown_without_its_secrets() {
    for echo in echoes() {
        let service = Service::start(move |_| {
            ResponseTemplate::new(200).append_header("TrackingID", format!("ROUTER_{TOKEN}")).set_body_raw(
                format!("<html>{echo} {}</html>", "x".repeat(200_000)),
                &format!("text/{TOKEN}"),
            )
        })
        .await;
        let client = builder(&service.url()).max_page_bytes(150_000).build().unwrap();
        let refused = error(&mut client.list(ListEvents::new())).await;
        assert_eq!(kind(&refused), "Decode 200");
        discreet(&refused);
    }
}

#[tokio::test]
async fn a_page_that_is_too_long_is_shown_without_the_query_of_a_redirect() {
    let service = Service::start(|call| match call.n {
        0 => refusal(302).append_header("Location", "/v1/events?elsewhere=sEcReT-position-4711"),
        _ => ok(format!("<html>{} {}</html>", call.request.url, "x".repeat(200_000))),
    })
    .await;
    let client = builder(&service.url()).max_page_bytes(150_000).build().unwrap();
    let refused = error(&mut client.list(ListEvents::new())).await;
    assert_eq!((kind(&refused).as_str(), service.count()), ("Decode 200", 2));
    assert!(!format!("{refused:?} {}", shown(&refused)).contains("sEcReT"), "{refused:?}");
}

#[tokio::test]
async fn a_token_cut_in_two_by_the_end_of_a_snippet_is_not_shown() {
    for pad in 150..=200 {
        let service = Service::start(move |_| ok(format!("{}{TOKEN}", "x".repeat(pad)))).await;
        let refused = error(&mut service.client().list(ListEvents::new())).await;
        let shown = shown(&refused);
        assert!(!shown.contains(&TOKEN[..4]), "{shown}");
    }
}

#[tokio::test]
async fn a_link_is_shown_without_its_secrets() {
    let q = format!("cursor={SECRET}");
    for link in [
        format!("<https://evil.example/v1/events?{q}>; rel=next"),
        format!("<https://user:{SECRET}@evil.example/v1/events?{q}>; rel=next"),
        format!("<https://{TOKEN}@evil.example/?{q}>; rel=next"),
        format!("</v1/a/../events?{q}>; rel=next"),
        format!("</v1/events?{q}#x>; rel=next"),
        format!("</v1/events?{q}>; rel=next, </v1/events?x={q}>; rel=next"),
        format!("</v1/events?{q}; rel=next"),
        format!("</v1/events?{q}>; rel=\"next"),
        format!("</v1/events?{q}>; rel=next; anchor=\"?{q}|\""),
        format!("?{q}"),
        format!("<?{q} >; rel=next"),
        "<>; rel=next".to_owned(),
    ] {
        let service = Service::start(move |_| ok(page("a")).append_header("Link", &*link)).await;
        let query = ListEvents::new().param("secret", SECRET);
        let mut events = service.client().list(query);
        assert_eq!(read_some(1, &mut events).await, ["a"]);
        if let Some(Err(error)) = within(events.next()).await {
            assert!(error.link_kind().is_some(), "{error:?}");
            discreet(&error);
        }
        is_discreet(&format!("{events:?}"));
    }
    let service = Service::start(|call| call.page("", Some(&format!("{SECRET}{}", call.n)))).await;
    let endless = error(&mut service.client().list(ListEvents::new())).await;
    assert_eq!(kind(&endless), "Link NoProgress");
    discreet(&endless);
}

#[tokio::test]
async fn a_failed_transport_is_shown_without_its_secrets() {
    let cut = Served::start(|_, _| http(200, &[], page("a"))[..90].to_vec()).await;
    let query = || ListEvents::new().param("secret", SECRET).actor_id(SECRET);
    let mut events = cut.client().list(query());
    discreet(&error(&mut events).await);
    is_discreet(&format!("{events:?}"));
    let base = cut.url();
    let proxied = builder(&base).proxy(format!("http://user:{SECRET}@127.0.0.1:1")).build().unwrap();
    discreet(&error(&mut proxied.list(query())).await);
    is_discreet(&format!("{proxied:?}"));
    drop(cut);
    discreet(&error(&mut client_to(&base).list(query())).await);
}

fn client_to(base: &str) -> Client {
    builder(base).build().unwrap()
}

#[tokio::test]
async fn an_item_is_shown_without_its_text() {
    let text = format!(
        r#"{{"items":[{{"text":"{TOKEN} https://a/b?{SECRET}"}},{}]}}"#,
        support::event_with("a", &format!(r#","data":{{"text":["{TOKEN}"]}},"errors":{{"x":"{TOKEN}"}}"#))
    );
    let service = Service::start(move |_| ok(text.clone())).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    discreet(&error(&mut events).await);
    let event = within(events.next()).await.unwrap().unwrap();
    is_discreet(&format!("{event:?}"));
    discreet(&event.errors().unwrap_err());
    let mut pages = client.list(ListEvents::new()).pages();
    is_discreet(&format!("{:?}", within(pages.next()).await.unwrap().unwrap()));
}

#[test]
fn refused_settings_are_shown_without_their_secrets() {
    let refused = |builder: ClientBuilder| {
        assert!(!format!("{builder:?}").contains(TOKEN));
        let error = builder.build().unwrap_err();
        assert_eq!(kind(&error), "Config");
        discreet(&error);
    };
    let token = || Client::builder().token(TOKEN);
    refused(Client::builder().token(format!("{TOKEN}\n{TOKEN}")));
    refused(Client::builder().token(format!("Bearer\u{7}{TOKEN}")));
    refused(token().base_url(format!("http://webexapis.com/{SECRET}")));
    refused(token().base_url(format!("https://user:{SECRET}@webexapis.com/")));
    refused(token().base_url(format!("https://webexapis.com/?{SECRET}")));
    refused(token().allow_origin(format!("ftp://{SECRET}@127.0.0.1/")));
    refused(token().header("Authorization", format!("Bearer {TOKEN}")));
    refused(token().header("X-Key", format!("{SECRET}\n")));
    refused(token().proxy(format!("http://user:{SECRET}@[")));
    let fine = token().header("X-Key", SECRET).proxy(format!("http://user:{SECRET}@127.0.0.1:1"));
    is_discreet(&format!("{fine:?} {:?}", fine.clone().build().unwrap()));
    is_discreet(&format!("{:?} {:#?}", Token::from(TOKEN), Token::from(TOKEN)));
}

#[tokio::test]
async fn cursors_and_queries_are_shown_without_their_secrets() {
    let service = Service::start(|call| call.page("a b", Some(SECRET))).await;
    let mut events = service.client().list(ListEvents::new().param("x", SECRET));
    for _ in 0..3 {
        let cursor = events.cursor().unwrap();
        is_discreet(&format!("{cursor:?} {cursor:#?}"));
        let damaged = cursor.to_string().replace(':', "/");
        discreet(&damaged.parse::<Cursor>().unwrap_err());
        discreet(&format!("{cursor}x").parse::<Cursor>().unwrap_err());
        assert!(!cursor.to_string().contains(TOKEN));
        within(events.next()).await;
    }
    discreet(&format!("https://a/?{SECRET}").parse::<Cursor>().unwrap_err());
    let invalid = ListEvents::new().page_size(0).param("x", SECRET).actor_id(SECRET);
    discreet(&error(&mut service.client().list(invalid)).await);
}

#[test]
fn an_error_is_shown_like_any_other() {
    fn display<T: Display>(_: &T) {}
    let error = Event::from_json("{}").unwrap_err();
    display(&error);
    discreet(&error);
}
