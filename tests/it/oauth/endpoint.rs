//! Responses of the token endpoint that are errors, incomplete or unusual.

use std::{collections::BTreeMap, fs, time::Duration};

use serde_json::json;
use webex_events::{
    TokenSource,
    sandbox::{Response, Route, When},
};
use wiremock::ResponseTemplate;

use super::{Folder, by_hundred, client, grants, in_use, is_grant, rotating, small, tokens};
use crate::support::{Service, Wire, error, http, kind, ok, read, refusal, within};

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
