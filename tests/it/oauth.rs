//! `OAuth` through the public API: when it requests tokens, and that none is lost on the way.
#![cfg(feature = "sandbox")]

mod endpoint;
mod file;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, future::join_all, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use webex_events::{
    Client, Error, ListEvents, OAuth, Token, TokenSource,
    sandbox::{Sandbox, SandboxBuilder},
};
use wiremock::ResponseTemplate;

use crate::support::{Call, Service, Wire, hasty, http, ok, page, read, read_some, refusal, within};

/// A folder with a token file in it.
struct Folder(TempDir);

impl Folder {
    fn with(text: impl AsRef<str>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(text);
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("token.json")
    }

    fn write(&self, text: impl AsRef<str>) {
        fs::write(self.file(), text.as_ref()).unwrap();
    }

    fn json(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    fn oauth(&self, base: &str) -> OAuth {
        OAuth::new("client", "s3cret", self.file()).unwrap().base_url(base)
    }

    /// The names of all files in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn small() -> SandboxBuilder {
    Sandbox::builder().events(500).seed(7).rotate_refresh_tokens(true).oauth_client("client", "s3cret")
}

fn client(base: &str, oauth: OAuth) -> Client {
    Client::builder().base_url(base).token_source(oauth).retry(hasty()).build().unwrap()
}

fn by_hundred() -> ListEvents {
    ListEvents::new().page_size(100)
}

/// A file whose access token the sandbox accepts from its start, with an unknown expiry.
fn in_use(sandbox: &Sandbox) -> Folder {
    let tokens = json!({"access_token": sandbox.token(), "refresh_token": sandbox.refresh_token()});
    Folder::with(tokens.to_string())
}

#[tokio::test]
async fn a_refresh_token_on_one_line_is_enough() {
    let sandbox = small().start().await.unwrap();
    let folder = Folder::with(format!("{}\n", sandbox.refresh_token().unwrap()));
    let oauth = folder.oauth(sandbox.base_url());
    assert_eq!(oauth.expires_at(), None);
    let client = client(sandbox.base_url(), oauth.clone());
    assert_eq!(read(client.list(by_hundred())).await, sandbox.event_ids());
    let counts = sandbox.counts();
    assert_eq!((counts.refreshes, counts.unauthorized), (1, 0), "nothing is sent without a token");
    let file = folder.json();
    assert_eq!(file["refresh_token"], sandbox.refresh_token().unwrap());
    assert_eq!(oauth.expires_at().unwrap().timestamp(), time(&file["expires_at"]));
    assert_eq!(time(&file["refresh_token_expires_at"]) - time(&file["expires_at"]), (90 - 14) * 24 * 3600);
    assert_eq!(folder.names(), ["token.json", "token.json.lock"]);
}

fn time(value: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp()
}

#[tokio::test]
async fn a_token_that_is_known_to_have_expired_is_not_sent() {
    let sandbox = small().start().await.unwrap();
    let folder = Folder::with(
        json!({"access_token": "old", "expires_at": "2026-01-01T00:00:00Z", "note": [1],
            "refresh_token": sandbox.refresh_token()})
        .to_string(),
    );
    let client = client(sandbox.base_url(), folder.oauth(sandbox.base_url()));
    assert_eq!(read(client.list(by_hundred())).await.len(), 500);
    assert_eq!((sandbox.counts().refreshes, sandbox.counts().unauthorized), (1, 0));
    assert_eq!(folder.json()["note"], json!([1]));
}

#[tokio::test]
async fn the_position_in_the_list_is_kept_over_a_renewal() {
    let sandbox = small().start().await.unwrap();
    let folder = in_use(&sandbox);
    let client = client(sandbox.base_url(), folder.oauth(sandbox.base_url()));
    let mut events = client.list(by_hundred());
    let mut all = read_some(250, &mut events).await;
    sandbox.revoke_tokens();
    all.extend(read(&mut events).await);
    assert_eq!(all, sandbox.event_ids());
    assert_eq!((sandbox.counts().refreshes, sandbox.counts().unauthorized), (1, 1));
    // The grant isn't a request of the list.
    assert_eq!((events.stats().requests, events.stats().retries), (6, 1));
    assert_eq!(client.responses(), BTreeMap::from([(200, 5), (401, 1)]));
}

#[tokio::test]
async fn many_streams_of_many_clients_request_one_grant() {
    let sandbox = small().start().await.unwrap();
    let folder = in_use(&sandbox);
    let oauth = folder.oauth(sandbox.base_url());
    sandbox.revoke_tokens();
    let clients = [(); 4].map(|()| client(sandbox.base_url(), oauth.clone()));
    let lists = (0..12).map(|n| read(clients[n % 4].list(by_hundred())));
    for ids in within(join_all(lists)).await {
        assert_eq!(ids, sandbox.event_ids());
    }
    assert_eq!(sandbox.counts().refreshes, 1);
}

#[tokio::test]
async fn two_processes_that_share_a_file_request_one_grant() {
    let sandbox = small().start().await.unwrap();
    let folder = in_use(&sandbox);
    // Like two processes, they share only the file.
    let [one, two] = [(); 2].map(|()| client(sandbox.base_url(), folder.oauth(sandbox.base_url())));
    for n in 1..=3 {
        sandbox.revoke_tokens();
        let lists = [read(one.list(by_hundred())), read(two.list(by_hundred()))];
        for ids in within(join_all(lists)).await {
            assert_eq!(ids, sandbox.event_ids());
        }
        assert_eq!(sandbox.counts().refreshes, n);
    }
    // One after the other, too: the tokens of the first are good for the second.
    sandbox.revoke_tokens();
    assert_eq!(read(one.list(by_hundred())).await.len(), 500);
    assert_eq!(read(two.list(by_hundred())).await.len(), 500);
    assert_eq!(sandbox.counts().refreshes, 4);
}

/// A service that gives the tokens `a1` and `r1`, `a2` and `r2`, and so on, each for the refresh token
/// before, and looks at each use of an access token first.
async fn rotating(look: impl Fn(&str) + Send + Sync + 'static) -> Service {
    let made = Mutex::new(0);
    Service::start(move |call| {
        let mut made = made.lock().unwrap();
        if is_grant(call) {
            let form = String::from_utf8_lossy(&call.request.body);
            if form
                != format!(
                    "grant_type=refresh_token&client_id=client&client_secret=s3cret&refresh_token=r{made}"
                )
            {
                return refusal(400);
            }
            *made += 1;
            return tokens(*made);
        }
        let token = call.request.headers["authorization"].to_str().unwrap();
        look(token.strip_prefix("Bearer ").unwrap());
        if token == format!("Bearer a{made}") { call.page("x", None) } else { refusal(401) }
    })
    .await
}

fn is_grant(call: &Call<'_>) -> bool {
    call.request.url.path() == "/v1/access_token" && call.request.method.as_str() == "POST"
}

fn tokens(n: usize) -> ResponseTemplate {
    ok(json!({"access_token": format!("a{n}"), "refresh_token": format!("r{n}")}).to_string())
}

/// The number of grants that were requested.
async fn grants(service: &Service) -> usize {
    let requests = service.requests().await;
    requests.iter().filter(|request| request.url.path() == "/v1/access_token").count()
}

#[tokio::test]
async fn the_new_refresh_token_is_in_the_file_before_the_access_token_is_used() {
    let folder = Arc::new(Folder::with("r0"));
    let (looked, uses) = (Arc::clone(&folder), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&uses);
    let service = rotating(move |token| {
        let file = looked.json();
        assert_eq!(file["access_token"], token);
        log.lock().unwrap().push((token.to_owned(), file["refresh_token"].as_str().unwrap().to_owned()));
    })
    .await;
    let oauth = folder.oauth(&service.url());
    let client = client(&service.url(), oauth.clone());
    assert_eq!(read(client.list(by_hundred())).await, ["x"]);
    let second = oauth.token(Some(&"a1".into())).await.unwrap();
    assert_eq!(second, "a2".into());
    assert_eq!(read(client.list(by_hundred())).await, ["x"]);
    let pair = |n| (format!("a{n}"), format!("r{n}"));
    assert_eq!(*uses.lock().unwrap(), [pair(1), pair(2)]);
}

#[tokio::test]
async fn a_process_that_ends_can_wait_for_the_renewal_in_progress() {
    let wire = Wire::bind().await;
    let folder = Folder::with("r0");
    let oauth = folder.oauth(&wire.url());
    within(oauth.renewed()).await;
    let mut request = oauth.token(None);
    assert!(poll!(&mut request).is_pending());
    drop(request);
    let mut renewed = Box::pin(oauth.renewed());
    assert!(poll!(&mut renewed).is_pending());
    let reply = r#"{"access_token":"a1","expires_in":1209600,"refresh_token":"r1"}"#;
    within(async { tokio::join!(renewed, wire.respond(http(200, &[], reply))) }).await;
    assert_eq!(folder.json()["refresh_token"], "r1");
}

#[tokio::test]
async fn dropping_the_stream_that_waits_keeps_the_new_tokens() {
    let wire = Wire::bind().await;
    let folder = Folder::with("r0");
    let oauth = folder.oauth(&wire.url());
    let client = client(&wire.url(), oauth.clone());
    let mut events = client.list(by_hundred());
    let (mut connection, head) = within(async {
        tokio::select! {
            _ = events.next() => panic!("it came without a token"),
            request = wire.request() => request,
        }
    })
    .await;
    assert_eq!(head.target(), "/v1/access_token");
    let form = connection.body(&head).await;
    assert_eq!(form, "grant_type=refresh_token&client_id=client&client_secret=s3cret&refresh_token=r0");
    drop(events);
    // Another joins it, and is dropped as well.
    let mut second = client.list(by_hundred());
    assert!(poll!(second.next()).is_pending());
    drop(second);
    let reply = r#"{"access_token":"a1","expires_in":1209600,"refresh_token":"r1"}"#;
    connection.send(http(200, &[], reply)).await;
    let mut third = client.list(by_hundred());
    let (item, head) =
        within(async { tokio::join!(third.next(), wire.respond(http(200, &[], page("x")))) }).await;
    assert_eq!(item.unwrap().unwrap().id(), "x");
    assert_eq!(head.header("authorization"), Some("Bearer a1"));
    assert_eq!(folder.json()["refresh_token"], "r1");
    // A client of another process continues with the tokens in the file.
    assert_eq!(folder.oauth(&wire.url()).token(None).await.unwrap(), "a1".into());
}

/// A request for a token in one runtime must not depend on another runtime that began the renewal.
#[test]
fn a_runtime_that_stops_holds_up_no_other() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for is_dropped in [false, true] {
        let (first, second) = (runtime(), runtime());
        let wire = second.block_on(Wire::bind());
        let folder = Folder::with("r0");
        let oauth = folder.oauth(&wire.url());
        first.block_on(async {
            assert!(poll!(oauth.token(None)).is_pending());
        });
        // From here on, the first runtime isn't driven.
        let first = (!is_dropped).then_some(first);
        let reply = r#"{"access_token":"a1","expires_in":1209600,"refresh_token":"r1"}"#;
        let (token, _) = second
            .block_on(within(async { tokio::join!(oauth.token(None), wire.respond(http(200, &[], reply))) }));
        assert_eq!(token.unwrap(), "a1".into());
        assert_eq!(folder.json()["refresh_token"], "r1");
        drop(first);
    }
}

#[tokio::test]
async fn no_error_and_no_debug_output_shows_a_secret() {
    const SECRETS: [&str; 5] = ["s3c/ret+", "s3c%2Fret", "r3fresh", "acc3ss", "n3w"];
    let echoes = [
        r#"{"message":"{form}","trackingId":"{form}","errors":[{"description":"{form}"}]}"#,
        r#"{"message":"no","access_token":"n3w-a","refresh_token":"n3w-r"}"#,
        r#"{"access_token":"n3w-a","refresh_tok"#,
        "<html>{form} s3c/ret+ s3c\\/ret+</html>",
        "access_token=n3w-a",
    ];
    for echo in echoes {
        for status in [200, 400, 401, 404, 503] {
            let service = Service::start(move |call| {
                let form = String::from_utf8_lossy(&call.request.body);
                let echo = echo.replace("{form}", &form);
                ResponseTemplate::new(status).append_header("TrackingID", &*form).set_body_raw(echo, &form)
            })
            .await;
            let folder = Folder::with(r#"{"access_token":"acc3ss","refresh_token":"r3fresh"}"#);
            let oauth = OAuth::new("client", "s3c/ret+", folder.file()).unwrap().base_url(service.url());
            let Err(failed) = oauth.token(Some(&Token::from("acc3ss"))).await else { continue };
            let client = client(&service.url(), oauth.clone());
            let mut shown = format!("{failed} {failed:?} {failed:#?} {oauth:?} {oauth:#?} {client:?}");
            shown += failed.tracking_id().unwrap_or_default();
            let mut source = std::error::Error::source(&failed);
            while let Some(error) = source {
                write!(shown, "{error} {error:?}").unwrap();
                source = error.source();
            }
            if let Error::Api(response) = &failed {
                write!(shown, "{} {} {:?}", response.message(), response.body(), response.errors()).unwrap();
            }
            for secret in SECRETS {
                assert!(!shown.contains(secret), "{secret} of {echo} is in {shown}");
            }
        }
    }
}
