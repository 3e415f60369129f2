//! Explicit proxies, loopback hosts, and the kinds of failed connections.

use webex_events::{Client, Error, ListEvents, OAuth, RetryPolicy, TokenSource, TransportErrorKind};

use crate::support::{Served, TOKEN, builder, error, http, page, read};

fn refused(proxy: &str) -> String {
    match Client::builder().token(TOKEN).proxy(proxy).build() {
        Err(Error::Config(text)) => text.into(),
        other => panic!("{proxy}: {other:?}"),
    }
}

async fn failure(client: &Client) -> TransportErrorKind {
    match error(&mut client.list(ListEvents::new())).await {
        Error::Transport(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_scheme_of_a_proxy_is_refused() {
    for proxy in ["htpp://127.0.0.1:1", "ftp://127.0.0.1", "file:///etc", "https//a:b:c"] {
        refused(proxy);
    }
    assert!(refused("htpp://127.0.0.1:1").contains("`htpp`"));
}

#[test]
fn a_socks_proxy_is_refused_with_a_sentence_that_says_so() {
    for proxy in ["socks4://a", "socks5://127.0.0.1:1080", "socks5h://user:pw@a"] {
        assert!(refused(proxy).contains("SOCKS proxy, which is not supported"));
    }
}

#[tokio::test]
async fn an_unknown_scheme_of_a_proxy_is_refused_for_grants_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token.json");
    std::fs::write(&file, "r3fresh").unwrap();
    for proxy in ["htpp://127.0.0.1:1", "socks5://127.0.0.1:1"] {
        let oauth = OAuth::new("id", "secret", &file).unwrap().proxy(proxy);
        assert!(matches!(oauth.token(None).await, Err(Error::Config(_))), "{proxy}");
    }
}

#[tokio::test]
async fn a_name_under_localhost_is_this_machine_whatever_a_name_server_says() {
    let served = Served::start(|_, _| http(200, &[], page("a"))).await;
    for host in ["localhost", "webex.localhost", "a.b.localhost"] {
        let url = served.url().replace("127.0.0.1", host);
        assert_eq!(read(builder(&url).build().unwrap().list(ListEvents::new())).await, ["a"], "{host}");
    }
}

#[tokio::test]
async fn a_port_without_listener_is_a_refused_connection() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/v1", listener.local_addr().unwrap())
    };
    let client = builder(&url).retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(failure(&client).await, TransportErrorKind::Refused);
    let proxied = builder("http://127.0.0.1:9/v1").proxy(url).retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(failure(&proxied).await, TransportErrorKind::Proxy);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_tunnel_that_the_proxy_refuses_is_a_failure_of_the_proxy() {
    let proxy = Served::start(|_, _| http(403, &[], "")).await;
    let client = Client::builder().token(TOKEN).proxy(proxy.origin()).retry(RetryPolicy::never());
    assert_eq!(failure(&client.build().unwrap()).await, TransportErrorKind::Proxy);
}
