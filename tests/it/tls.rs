//! Handshakes with a TLS server.

use webex_events::{Client, Error, ListEvents, RetryPolicy, TransportErrorKind};

use crate::{
    support::{builder, error, http, kind, page, read},
    tls_server::{Authority, Reply, TlsServer},
};

async fn transport_kind(client: &Client) -> TransportErrorKind {
    match error(&mut client.list(ListEvents::new())).await {
        Error::Transport(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_its_root_certificate() {
    let server = TlsServer::http1(None, |_| http(200, &[], page("a"))).await;
    let client = server.builder().build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);
}

#[tokio::test]
async fn a_server_whose_root_certificate_is_unknown_is_not_trusted() {
    let server = TlsServer::http1(None, |_| http(200, &[], page("a"))).await;
    let strangers = Authority::new();
    let client = builder(&server.url())
        .root_certificate(strangers.pem.as_bytes())
        .retry(RetryPolicy::never())
        .build()
        .unwrap();
    assert_eq!(transport_kind(&client).await, TransportErrorKind::Tls);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_requires_one() {
    let clients = Authority::new();
    let server = TlsServer::http1(Some(&clients), |_| http(200, &[], page("a"))).await;
    let client = server.builder().client_identity(clients.identity().as_bytes()).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);

    let without = server.builder().retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(kind(&error(&mut without.list(ListEvents::new())).await), "Transport");
    let other = server.builder().client_identity(Authority::new().identity().as_bytes());
    let other = other.retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(kind(&error(&mut other.list(ListEvents::new())).await), "Transport");
    assert_eq!(server.count(), 1);
}

#[test]
fn an_invalid_client_identity_is_refused() {
    let identity = Authority::new().identity();
    let (certificate, key) = identity.split_at(identity.find("-----BEGIN PRIVATE KEY").unwrap());
    let other = Authority::new().identity();
    let (_, other_key) = other.split_at(other.find("-----BEGIN PRIVATE KEY").unwrap());
    for pem in ["", "identity", certificate, key, &format!("{certificate}{other_key}")] {
        let client = Client::builder().token("t").client_identity(pem.as_bytes()).build();
        let refused = client.unwrap_err();
        assert!(matches!(refused, Error::Config(_)), "{refused:?}");
        assert!(!format!("{refused:?}").contains("PRIVATE"), "{refused:?}");
    }
    let builder = Client::builder().token("t").client_identity(identity.as_bytes());
    assert!(!format!("{builder:?}").contains("PRIVATE"));
    builder.build().unwrap();
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let server =
        TlsServer::http2(|_| Reply { headers: Vec::new(), body: page("a").into(), reset: None }).await;
    let client = server.builder().build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);
    assert_eq!(server.count(), 1);
}
