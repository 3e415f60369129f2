//! Settings of the environment. Each test runs itself again in a child process, which has an environment of its own.

use std::{env, process::Command};

use webex_events::{Client, Error, ListEvents, OAuth, RetryPolicy, Token, TokenSource, TransportErrorKind};

use crate::support::{Served, TOKEN, error, http, page, read, read_some};

const CHILD: &str = "WEBEX_EVENTS_TEST_CHILD";

const PROXY_VARIABLES: [&str; 9] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
];

/// Runs the test of this name again in a child process with only these of the client's variables set, and `run` in it.
fn in_child(name: &str, variables: &[(&str, &str)], run: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return run();
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", &format!("environment::{name}"), "--nocapture", "--test-threads=1"]);
    for name in PROXY_VARIABLES.into_iter().chain(["WEBEX_ACCESS_TOKEN", "WEBEX_BASE_URL"]) {
        child.env_remove(name);
    }
    let output = child.envs(variables.iter().copied()).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{variables:?}\n{text}\n{errors}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn config(client: webex_events::Result<Client>) -> String {
    match client {
        Err(Error::Config(text)) => text.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_takes_its_token_from_the_environment() {
    in_child("a_client_takes_its_token_from_the_environment", &[("WEBEX_ACCESS_TOKEN", TOKEN)], || {
        let client = Client::from_env().unwrap();
        assert!(format!("{client:?}").contains("https://webexapis.com/v1"));
    });
}

#[test]
fn a_client_takes_its_base_url_from_the_environment() {
    let name = "a_client_takes_its_base_url_from_the_environment";
    // The child's own service has a port that the parent can't know.
    in_child(name, &[("WEBEX_ACCESS_TOKEN", TOKEN), ("WEBEX_BASE_URL", "http://127.0.0.1:9/a")], || {
        assert!(format!("{:?}", Client::from_env().unwrap()).contains("http://127.0.0.1:9/a/events"));
    });
}

#[test]
fn a_missing_token_is_named() {
    in_child("a_missing_token_is_named", &[("WEBEX_ACCESS_TOKEN", "")], || {
        assert!(config(Client::from_env()).contains("WEBEX_ACCESS_TOKEN"));
    });
}

#[test]
fn an_invalid_base_url_in_the_environment_is_refused() {
    let variables = [("WEBEX_ACCESS_TOKEN", TOKEN), ("WEBEX_BASE_URL", "http://webexapis.com/v1")];
    in_child("an_invalid_base_url_in_the_environment_is_refused", &variables, || {
        config(Client::from_env());
    });
}

#[test]
fn an_invalid_proxy_in_the_environment_is_refused_by_client_and_oauth() {
    let variables = [("HTTPS_PROXY", "htpp://user:s3cret@127.0.0.1:1")];
    in_child("an_invalid_proxy_in_the_environment_is_refused_by_client_and_oauth", &variables, || {
        let text = config(Client::new(TOKEN));
        assert!(text.contains("`HTTPS_PROXY`") && !text.contains("s3cret"), "{text}");
        // The proxy is not used for these.
        Client::builder().token(TOKEN).base_url("http://127.0.0.1:1/v1").build().unwrap();
        Client::builder().token(TOKEN).proxy("http://127.0.0.1:1").build().unwrap();

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token.json");
        std::fs::write(&file, "r3fresh").unwrap();
        let oauth = OAuth::new("id", "secret", &file).unwrap();
        let refused = runtime().block_on(async { oauth.token(None).await }).unwrap_err();
        assert!(matches!(&refused, Error::Config(text) if text.contains("`HTTPS_PROXY`")), "{refused:?}");
    });
}

#[test]
fn a_proxy_that_no_request_would_use_is_not_checked() {
    let variables =
        [("HTTPS_PROXY", "htpp://127.0.0.1"), ("HTTP_PROXY", "socks5://a"), ("NO_PROXY", "webexapis.com")];
    in_child("a_proxy_that_no_request_would_use_is_not_checked", &variables, || {
        Client::new(TOKEN).unwrap();
    });
}

#[test]
fn a_socks_proxy_in_the_environment_is_refused_by_its_name() {
    in_child(
        "a_socks_proxy_in_the_environment_is_refused_by_its_name",
        &[("all_proxy", "socks5h://127.0.0.1:1")],
        || {
            assert!(config(Client::new(TOKEN)).contains("SOCKS"));
        },
    );
}

#[test]
fn the_proxy_of_the_environment_gets_no_request_to_a_loopback_host() {
    // Nothing listens on the proxy's port: a request that is sent there fails.
    let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), ("HTTPS_PROXY", "http://127.0.0.1:1")];
    in_child("the_proxy_of_the_environment_gets_no_request_to_a_loopback_host", &variables, || {
        runtime().block_on(async {
            let last = Served::start(|_, _| http(200, &[], page("c"))).await;
            let next = format!("<{}/v1/events?cursor=2>; rel=next", last.origin());
            let first = Served::start(move |_, _| http(200, &[("Link", &next)], page("a b"))).await;

            let client = Client::builder().token(TOKEN).base_url(first.url()).allow_origin(last.origin());
            assert_eq!(read(client.build().unwrap().list(ListEvents::new())).await, ["a", "b", "c"]);

            // With a base URL elsewhere, the allowed origin is still contacted directly.
            let client =
                Client::builder().token(TOKEN).retry(RetryPolicy::never()).allow_origin(last.origin());
            let client = client.build().unwrap();
            let failed = error(&mut client.list(ListEvents::new())).await;
            let Error::Transport(failed) = failed else { panic!("{failed:?}") };
            assert_eq!(failed.kind(), TransportErrorKind::Proxy);
            let near = Client::builder().token(TOKEN).base_url(first.url()).allow_origin(last.origin());
            let mut events = near.build().unwrap().list(ListEvents::new());
            read_some(2, &mut events).await;
            assert_eq!(read(client.resume(&events.cursor().unwrap())).await, ["c"]);
        });
    });
}

#[test]
fn an_explicit_proxy_holds_for_a_loopback_host() {
    in_child("an_explicit_proxy_holds_for_a_loopback_host", &[("NO_PROXY", "*")], || {
        runtime().block_on(async {
            let proxy = Served::start(|_, _| http(200, &[], page("a"))).await;
            let client = Client::builder().token(Token::from(TOKEN)).base_url("http://127.0.0.1:9/v1");
            let client = client.proxy(proxy.origin()).build().unwrap();
            assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);
            assert_eq!(proxy.targets(), ["http://127.0.0.1:9/v1/events?max=1000"]);
        });
    });
}
