//! `OAuth` through the public API: when it requests tokens, and that none is lost on the way.
#![cfg(feature = "sandbox")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, future::join_all, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use webex_events::{
    Client, Error, ListEvents, OAuth, Token, TokenSource,
    sandbox::{Response, Route, Sandbox, SandboxBuilder, When},
};
use wiremock::ResponseTemplate;

use crate::support::{
    Call, Service, Wire, error, hasty, http, kind, ok, page, read, read_some, refusal, within,
};

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
    let walks = (0..12).map(|n| read(clients[n % 4].list(by_hundred())));
    for walk in within(join_all(walks)).await {
        assert_eq!(walk, sandbox.event_ids());
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
        let walks = [read(one.list(by_hundred())), read(two.list(by_hundred()))];
        for walk in within(join_all(walks)).await {
            assert_eq!(walk, sandbox.event_ids());
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

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file_and_a_link_to_it_stays() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let service = rotating(|_| {}).await;
    let folder = Folder::with("r0");
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o644)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink(folder.file(), &link).unwrap();
    let oauth = OAuth::new("client", "s3cret", &link).unwrap().base_url(service.url());
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(folder.json()["refresh_token"], "r1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.file()), 0o600);
    assert_eq!(folder.names(), ["token.json", "token.json.lock"]);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_new_token_that_is_rejected_is_an_error_and_no_loop() {
    let service = Service::start(|call| if is_grant(call) { tokens(call.n) } else { refusal(401) }).await;
    let folder = Folder::with(r#"{"access_token":"a","refresh_token":"r"}"#);
    let client = client(&service.url(), folder.oauth(&service.url()));
    let refused = error(&mut client.list(by_hundred())).await;
    assert!(refused.is_auth(), "{refused:?}");
    assert_eq!((grants(&service).await, service.count()), (1, 3));
}

#[tokio::test]
async fn an_endpoint_that_fails_for_a_while_is_retried_by_the_policy() {
    let sandbox = small()
        .fail(When::next(3).on(Route::AccessToken), Response::status(504))
        .drop_connections(When::at([4]).on(Route::AccessToken))
        .start()
        .await
        .unwrap();
    let folder = Folder::with(sandbox.refresh_token().unwrap());
    let client = client(sandbox.base_url(), folder.oauth(sandbox.base_url()));
    let mut events = client.list(by_hundred());
    assert_eq!(read(&mut events).await, sandbox.event_ids());
    // The size of the pages is unchanged, because the 504 was the response to a grant.
    let targets = sandbox.requests();
    assert!(targets.iter().any(|request| request.target.ends_with("max=100")), "{targets:?}");
    assert_eq!((events.stats().pages, events.stats().requests), (5, 5));
    assert_eq!(client.responses(), BTreeMap::from([(200, 5)]));
    assert_eq!(sandbox.counts().refreshes, 4);
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_an_error_that_says_so() {
    for (status, transient) in [(503, true), (429, true), (404, false), (410, false), (302, false)] {
        let service =
            Service::start(
                move |call| {
                    if is_grant(call) { refusal(status) } else { call.page("a", Some("1")) }
                },
            )
            .await;
        let folder = Folder::with("r0");
        let client = client(&service.url(), folder.oauth(&service.url()));
        let mut events = client.list(by_hundred());
        let cursor = events.cursor().unwrap();
        let failed = error(&mut events).await;
        assert_eq!(kind(&failed), format!("Api {status}"));
        assert_eq!((failed.is_transient(), failed.is_auth()), (transient, false));
        assert!(failed.to_string().starts_with("the access token couldn't be renewed"), "{failed}");
        assert_eq!(grants(&service).await, if transient { 10 } else { 1 });
        // That the grant got a 404 doesn't mean that the cursor's page is gone.
        assert_eq!(kind(&error(&mut client.resume(&cursor)).await), format!("Api {status}"));
        assert!(client.responses().is_empty());
    }
}

#[tokio::test]
async fn a_refused_grant_is_final_until_the_file_has_another_refresh_token() {
    for rotate in [true, false] {
        let sandbox = small().rotate_refresh_tokens(rotate).start().await.unwrap();
        let folder = Folder::with("revoked");
        let client = client(sandbox.base_url(), folder.oauth(sandbox.base_url()));
        let mut events = client.list(by_hundred());
        for _ in 0..3 {
            let refused = error(&mut events).await;
            assert!(refused.is_auth() && !refused.is_transient() && !refused.is_forbidden(), "{refused:?}");
            assert_eq!(refused.status(), Some(400));
            assert!(refused.to_string().contains("couldn't be renewed"), "{refused}");
            events.resume();
            assert_eq!(sandbox.counts().refreshes, 1, "no other grant is requested");
        }
        folder.write(sandbox.refresh_token().unwrap());
        assert_eq!(read(&mut events).await, sandbox.event_ids());
        assert_eq!(sandbox.counts().refreshes, 2);
    }
}

#[tokio::test]
async fn a_wrong_client_secret_is_an_error_of_authorization() {
    let sandbox = small().oauth_client("client", "another").start().await.unwrap();
    let folder = in_use(&sandbox);
    sandbox.revoke_tokens();
    let client = client(sandbox.base_url(), folder.oauth(sandbox.base_url()));
    let refused = error(&mut client.list(by_hundred())).await;
    assert!(refused.is_auth() && refused.to_string().contains("couldn't be renewed"), "{refused}");
    assert_eq!(sandbox.counts().refreshes, 1);
}

#[tokio::test]
async fn without_a_file_to_write_to_no_token_is_requested() {
    let service = rotating(|_| {}).await;
    for blocked in ["token.json.lock", "token.json.new"] {
        let folder = Folder::with("r0");
        fs::create_dir(folder.0.path().join(blocked)).unwrap();
        let oauth = folder.oauth(&service.url());
        for _ in 0..2 {
            let failed = oauth.token(None).await.unwrap_err();
            assert!(matches!(failed, Error::Store { .. }), "{failed:?}");
            assert!(failed.is_transient() && failed.is_renewal());
            assert!(failed.to_string().contains("token.json"), "{failed}");
            let source = std::error::Error::source(&failed).unwrap();
            assert!(source.downcast_ref::<std::io::Error>().is_some());
        }
        // One that needs no renewal is given all the same.
        folder.write(r#"{"access_token":"a0","refresh_token":"r0"}"#);
        assert_eq!(folder.oauth(&service.url()).token(None).await.unwrap(), "a0".into());
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn tokens_that_could_not_be_written_are_written_by_the_next_request_without_a_grant() {
    let folder = Arc::new(Folder::with("r0"));
    let file = folder.file();
    let service = Service::start(move |call| {
        assert!(is_grant(call) && call.n == 0, "one grant is enough");
        // While the service responds, the file is replaced by something that can't be replaced.
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("full")).unwrap();
        tokens(1)
    })
    .await;
    let oauth = folder.oauth(&service.url());
    for _ in 0..3 {
        let failed = oauth.token(None).await.unwrap_err();
        assert!(matches!(failed, Error::Store { .. }), "{failed:?}");
        assert_eq!(folder.names(), ["token.json", "token.json.lock"], "no draft stays behind");
    }
    fs::remove_dir_all(folder.file()).unwrap();
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    assert_eq!(folder.json()["refresh_token"], "r1");
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_file_that_is_damaged_or_missing_is_written_again() {
    for damage in [Some("{\"refresh_tok"), Some(""), None] {
        let service = rotating(|_| {}).await;
        let folder = Folder::with("r0");
        let oauth = folder.oauth(&service.url());
        match damage {
            Some(text) => folder.write(text),
            None => fs::remove_file(folder.file()).unwrap(),
        }
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
        assert_eq!(folder.json()["refresh_token"], "r1");
    }
}

#[test]
fn a_file_that_can_not_be_read_is_refused_at_construction() {
    let folder = Folder::with("r0");
    let missing = folder.0.path().join("nowhere.json");
    let refused = OAuth::new("client", "s3cret", &missing).unwrap_err();
    assert_eq!(kind(&refused), "Config");
    let text = refused.to_string();
    assert!(text.contains("nowhere.json") && text.contains("refresh_token"), "{text}");
    folder.write("{\"refresh_token\":\"r3fresh");
    let refused = OAuth::new("client", "s3cret", folder.file()).unwrap_err();
    assert!(kind(&refused) == "Config" && !refused.to_string().contains("r3fresh"), "{refused}");
    let refused = OAuth::new("client", "s3cret", folder.0.path()).unwrap_err();
    assert!(matches!(refused, Error::Store { .. }), "{refused:?}");
    folder.write("r0");
    for (id, secret) in [("", "s3cret"), (" \n", "s3cret"), ("client", ""), ("client", " ")] {
        assert_eq!(kind(&OAuth::new(id, secret, folder.file()).unwrap_err()), "Config");
    }
}

#[tokio::test]
async fn a_process_that_ends_can_wait_for_the_renewal_in_progress() {
    let wire = Wire::bind().await;
    let folder = Folder::with("r0");
    let oauth = folder.oauth(&wire.url());
    within(oauth.renewed()).await;
    let mut asked = oauth.token(None);
    assert!(poll!(&mut asked).is_pending());
    drop(asked);
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

/// The grants of `service`, by the refresh token that each was requested with.
async fn used(service: &Service) -> Vec<String> {
    let requests = service.requests().await;
    let forms = requests.iter().filter(|request| request.url.path() == "/v1/access_token");
    forms
        .map(|request| String::from_utf8_lossy(&request.body).rsplit('=').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_new_refresh_token_in_an_unusable_reply_is_stored_first() {
    for (status, reply) in [
        (200, r#"{"refresh_token":"r1"}"#),
        (200, r#"{"access_token":"a b","refresh_token":"r1"}"#),
        (200, r#"{"refresh_token":"r1","access_tok"#),
        (201, r#"{"access_token":"a1","refresh_token":"r1"}"#),
    ] {
        let service = Service::start(move |call| match call.n {
            0 => ResponseTemplate::new(status).set_body_raw(reply, "application/json"),
            _ => tokens(2),
        })
        .await;
        let folder = Folder::with(r#"{"access_token":"a0","refresh_token":"r0","note":1}"#);
        let oauth = folder.oauth(&service.url());
        let failed = oauth.token(Some(&"a0".into())).await.unwrap_err();
        assert!(failed.is_renewal() && !failed.to_string().contains("r1"), "{failed}");
        assert_eq!(folder.json(), json!({"access_token": "a0", "refresh_token": "r1", "note": 1}), "{reply}");
        // This process and the next one use it for their next grant.
        assert_eq!(folder.oauth(&service.url()).token(None).await.unwrap(), "a0".into());
        assert_eq!(oauth.token(None).await.unwrap(), "a2".into());
        assert_eq!(used(&service).await, ["r0", "r1"]);
    }
}

/// The grant is spent, although the response has no end.
#[tokio::test]
async fn a_new_refresh_token_in_a_reply_that_broke_off_is_stored() {
    let text = r#"{"refresh_token":"r1","access_token":"a1","expires_in":1209"#;
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len() + 9);
    let too_long = format!("{text}600}}{}", " ".repeat(64 << 10));
    for response in [format!("{head}{text}").into_bytes(), http(200, &[], too_long)] {
        let wire = Wire::bind().await;
        let folder = Folder::with("r0");
        let oauth = folder.oauth(&wire.url());
        let reply = async {
            let (mut connection, head) = wire.request().await;
            connection.body(&head).await;
            connection.send(response).await;
        };
        let (token, ()) = within(async { tokio::join!(oauth.token(None), reply) }).await;
        let failed = token.unwrap_err();
        assert!(failed.is_renewal() && !failed.to_string().contains("r1"), "{failed}");
        assert_eq!(folder.json()["refresh_token"], "r1");
    }
}

#[tokio::test]
async fn a_refused_refresh_token_from_the_file_does_not_displace_the_one_that_works() {
    let service = rotating(|_| {}).await;
    let folder = Folder::with("r0");
    let oauth = folder.oauth(&service.url());
    assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
    folder.write("stale");
    assert_eq!(oauth.token(Some(&"a1".into())).await.unwrap(), "a2".into());
    assert_eq!(folder.json()["refresh_token"], "r2");
    assert_eq!(used(&service).await, ["r0", "stale", "r1"]);
    // If the one that worked is refused too, neither is sent again.
    let refusing = Service::start(|_| refusal(400)).await;
    let oauth = oauth.base_url(refusing.url());
    folder.write("stale");
    for _ in 0..2 {
        assert!(oauth.token(Some(&"a2".into())).await.unwrap_err().is_auth());
    }
    assert_eq!(used(&refusing).await, ["stale", "r2"]);
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
async fn the_wait_that_the_token_endpoint_requests_is_kept() {
    let service = Service::start(|call| match (is_grant(call), call.n) {
        (_, 0) => refusal(429).append_header("Retry-After", "1"),
        (_, 1) => ResponseTemplate::new(500).set_body_string("<html>oops</html>"),
        (true, _) => tokens(1),
        _ => call.page("x", None),
    })
    .await;
    let folder = Folder::with("r0");
    let client = client(&service.url(), folder.oauth(&service.url()));
    assert_eq!(read(client.list(by_hundred())).await, ["x"]);
    let arrivals = service.arrivals();
    assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(1), "{:?}", arrivals[1] - arrivals[0]);
    assert_eq!((grants(&service).await, service.count()), (3, 4));
    assert_eq!(folder.json()["refresh_token"], "r1");
}

/// Set in the process of a test that changes its working directory.
const CHANGED: &str = "WEBEX_EVENTS_TEST_CHANGED";

#[tokio::test]
async fn a_relative_path_means_the_same_file_after_the_working_directory_has_changed() {
    const NAME: &str = "oauth::a_relative_path_means_the_same_file_after_the_working_directory_has_changed";
    if let Ok(url) = std::env::var(CHANGED) {
        let oauth = OAuth::new("client", "s3cret", "token.json").unwrap().base_url(url);
        std::env::set_current_dir("/").unwrap();
        assert_eq!(oauth.token(None).await.unwrap(), "a1".into());
        return;
    }
    let service = rotating(|_| {}).await;
    let folder = Folder::with("r0");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact"]).current_dir(folder.0.path()).env(CHANGED, service.url());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(folder.json()["refresh_token"], "r1");
    assert_eq!(kind(&OAuth::new("client", "s3cret", "").unwrap_err()), "Config");
}

#[tokio::test]
async fn a_redirect_of_the_endpoint_is_not_followed() {
    let thief = Service::list(&["a"]).await;
    for status in [301, 302, 303, 307, 308] {
        let (own, foreign) = ("/v1/elsewhere".to_owned(), format!("{}/access_token", thief.url()));
        for target in [own, foreign] {
            let service = Service::start(move |_| refusal(status).append_header("Location", &*target)).await;
            let folder = Folder::with("r0");
            let refused = folder.oauth(&service.url()).token(None).await.unwrap_err();
            assert_eq!(kind(&refused), format!("Api {status}"));
            assert_eq!(service.count(), 1);
        }
    }
    assert_eq!(thief.count(), 0);
}

#[tokio::test]
async fn a_reply_that_holds_no_tokens_is_an_error_and_changes_nothing() {
    for reply in
        ["", "[]", "{}", "<html>", r#"{"access_token":""}"#, r#"{"access_token":"n3w","refresh_token":7}"#]
    {
        let service = Service::start(move |_| ok(reply)).await;
        let folder = Folder::with("r0");
        let failed = folder.oauth(&service.url()).token(None).await.unwrap_err();
        assert_eq!(kind(&failed), "Decode 200");
        assert!(!format!("{failed} {failed:?}").contains("n3w"));
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "r0");
        assert_eq!(folder.names(), ["token.json", "token.json.lock"]);
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
            if let Error::Api(answer) = &failed {
                write!(shown, "{} {} {:?}", answer.message(), answer.body(), answer.errors()).unwrap();
            }
            for secret in SECRETS {
                assert!(!shown.contains(secret), "{secret} of {echo} is in {shown}");
            }
        }
    }
}
