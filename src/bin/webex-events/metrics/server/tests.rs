use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::AbortHandle,
};

use super::*;
use crate::metrics::RunSnapshot;

/// So long that the test fails before anything times out.
const NEVER: Duration = Duration::from_secs(3600);
const LENIENT: Limits = Limits { connections: 16, head: NEVER, connection: NEVER };

async fn start(limits: Limits, max_lag: Option<Duration>) -> (SocketAddr, Arc<SharedSnapshot>, AbortHandle) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(SharedSnapshot::new(max_lag));
    let server = tokio::spawn(serve(listener, Arc::clone(&shared), limits)).abort_handle();
    (address, shared, server)
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// The response until the connection is closed.
async fn rest(mut connection: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is closed with unread data is reset.
    let _ = connection.read_to_string(&mut text).await;
    text
}

/// The status, the head and the body of a response.
async fn fetch(address: SocketAddr, request: &str) -> (u16, String, String) {
    let text = rest(connect(address, &format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n")).await).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn the_latest_snapshot_is_served() {
    let (address, shared, _server) = start(LENIENT, None).await;
    let mut snapshot = RunSnapshot::default();
    for pages in [0, 7, 8] {
        snapshot.stats.pages = pages;
        shared.publish(snapshot.clone(), Instant::now());
        let (status, head, body) = fetch(address, "GET /metrics").await;
        assert!(status == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert!(body.contains(&format!("\nwebex_events_pages_total {pages}\n")), "{body}");
    }
}

#[tokio::test]
async fn health_is_a_status() {
    let (address, shared, _server) = start(LENIENT, Some(Duration::from_secs(60))).await;
    let (status, _, body) = fetch(address, "GET /healthz?verbose=1").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    shared.publish(
        RunSnapshot { lag: Some(Duration::from_secs(61)), ..RunSnapshot::default() },
        Instant::now(),
    );
    let (status, _, body) = fetch(address, "GET /healthz").await;
    assert_eq!((status, body.as_str()), (503, "reading lags by 61 s, more than 60 s\n"));
}

#[tokio::test]
async fn a_head_request_gets_no_body() {
    let (address, _, _server) = start(LENIENT, None).await;
    let (status, head, body) = fetch(address, "HEAD /healthz").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 3"), "{head}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let (address, _, _server) = start(LENIENT, None).await;
    for (request, expected) in [
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("GET /../metrics", 404),
        ("POST /metrics", 405),
        ("DELETE /healthz", 405),
        ("nonsense", 400),
    ] {
        let (status, head, _) = fetch(address, request).await;
        assert_eq!(status, expected, "{request}");
        assert_eq!(head.contains("allow: get, head"), expected == 405, "{head}");
    }
}

#[tokio::test]
async fn an_endless_request_head_is_refused() {
    let (address, _, _server) = start(LENIENT, None).await;
    let endless = format!("GET /metrics HTTP/1.1\r\nx: {}", "x".repeat(1 << 20));
    let mut connection = TcpStream::connect(address).await.unwrap();
    // The other side may have hung up before it all is out.
    let _ = connection.write_all(endless.as_bytes()).await;
    assert!(!rest(connection).await.contains("200 OK"));
}

#[tokio::test]
async fn a_silent_client_is_disconnected() {
    let limits = Limits { head: Duration::from_millis(20), ..LENIENT };
    let (address, _, _server) = start(limits, None).await;
    for text in ["", "GET /metrics HTTP/1.1\r\nhost"] {
        assert!(!rest(connect(address, text).await).await.contains("200 OK"), "{text:?}");
    }
    let limits = Limits { connection: Duration::from_millis(20), ..LENIENT };
    let (address, _, _server) = start(limits, None).await;
    assert_eq!(rest(connect(address, "GET /metrics HTTP/1.1\r\nhost").await).await, "");
}

#[tokio::test]
async fn one_client_too_many_disconnects_the_oldest() {
    let (address, _, _server) = start(Limits { connections: 2, ..LENIENT }, None).await;
    let oldest = connect(address, "GET ").await;
    let newer = connect(address, "GET ").await;
    assert_eq!(fetch(address, "GET /healthz").await.0, 200);
    assert_eq!(rest(oldest).await, "");
    assert_eq!(newer.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn the_server_ends_with_its_connections() {
    let (address, _, server) = start(LENIENT, None).await;
    let connection = connect(address, "GET ").await;
    assert_eq!(fetch(address, "GET /healthz").await.0, 200);
    server.abort();
    assert_eq!(rest(connection).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}
