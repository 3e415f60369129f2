//! The device grant with a simulated clock and scripted responses; `tests/it/logins.rs` has the rest.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response};
use tempfile::TempDir;

use super::*;
use crate::{
    clock::simulated::Simulated,
    error::{LoginError, TransportError},
    transport::HttpBody,
};

const AUTHORIZED: &str = r#"{"device_code":"d3v1ce","user_code":"729703","verification_uri":"https://example.com/verify",
    "expires_in":60,"interval":2}"#;
const TOKENS: &str = r#"{"access_token":"a","expires_in":100,"refresh_token":"r"}"#;
const PENDING: (u16, &str) = (428, r#"{"errors":[{"description":"authorization_pending"}]}"#);
const SLOW_DOWN: (u16, &str) = (400, r#"{"errors":[{"description":"slow_down"}]}"#);

/// A service with scripted responses, of which the last one repeats. A status of 0 is no response.
#[derive(Clone, Debug)]
struct Script {
    replies: Arc<Vec<(u16, &'static str)>>,
    clock: &'static Simulated,
    /// The time and the body of each request.
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl HttpService for Script {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<HttpBody>, TransportError>> {
        let mut requests = self.requests.lock().unwrap();
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let at = requests.len().min(self.replies.len() - 1);
        requests.push((self.clock.now(), body));
        let (status, body) = self.replies[at];
        Box::pin(async move {
            if status == 0 {
                return Err(TransportError::new("no response", "the cable is out"));
            }
            let mut response = Response::new(HttpBody::from(Bytes::from_static(body.as_bytes())));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            if status == 429 {
                response.headers_mut().insert("retry-after", HeaderValue::from_static("20"));
            }
            Ok(response)
        })
    }
}

/// Logs in by a device, and returns the seconds between the requests.
async fn by_device(replies: &[(u16, &'static str)]) -> (Result<OAuth>, Vec<u64>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.5);
    let replies = Arc::new([&[(200, AUTHORIZED)], replies].concat());
    let script = Script { replies, clock, requests: Arc::default() };
    let store = TokenStore::open(&folder.path().join("token"), Box::new(SystemDisk));
    let login = OAuthLogin::with("id", "s3cret".to_owned(), store, Box::new(clock)).unwrap();
    let device = login.http_service(script.clone()).by_device().await.unwrap();
    assert_eq!((device.user_code(), device.expires_in()), ("729703", Duration::from_secs(60)));
    let result = device.finish().await;
    let requests = script.requests.lock().unwrap();
    assert!(requests.iter().all(|(_, body)| !body.contains("s3cret")), "{requests:?}");
    let waits = requests.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    (result, waits, folder)
}

#[tokio::test]
async fn the_interval_is_the_services_and_grows_with_each_slow_down() {
    let (result, waits, folder) =
        by_device(&[PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, PENDING, (200, TOKENS)]).await;
    let _ = result.unwrap();
    assert_eq!(waits, [2, 2, 7, 7, 12, 12]);
    assert!(
        std::fs::read_to_string(folder.path().join("token")).unwrap().contains(r#""refresh_token": "r""#)
    );
}

#[tokio::test]
async fn a_failure_doubles_the_interval_and_a_requested_pause_is_kept() {
    let (result, waits, _folder) = by_device(&[(0, ""), (503, ""), PENDING, (429, ""), (200, TOKENS)]).await;
    let _ = result.unwrap();
    assert_eq!(waits, [2, 4, 8, 8, 20]);
}

#[tokio::test]
async fn a_code_that_nobody_enters_expires_without_another_request() {
    let (result, waits, folder) = by_device(&[PENDING]).await;
    assert!(matches!(result, Err(Error::Login(LoginError::Expired))), "{result:?}");
    assert_eq!(waits.iter().sum::<u64>(), 60);
    assert!(!folder.path().join("token").exists());
}

#[tokio::test]
async fn a_refusal_ends_the_login() {
    for (status, body, expected) in [
        (400, r#"{"errors":[{"description":"access_denied"}]}"#, "the access was denied"),
        (400, r#"{"errors":[{"description":"expired_token"}]}"#, "the device code has expired"),
        (
            401,
            r#"{"message":"invalid_client s3cret d3v1ce"}"#,
            "responded with 401 Unauthorized: invalid_client … …",
        ),
        (200, "{}", "it holds no `access_token`"),
    ] {
        let (result, waits, folder) = by_device(&[(status, body)]).await;
        let error = result.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let error = format!("{error}: {source}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("d3v1ce"), "{error}");
        assert_eq!(waits, [2], "{error}");
        assert!(!folder.path().join("token").exists());
    }
}

#[tokio::test]
async fn an_unusable_device_code_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Simulated::new(0.5);
    for body in [
        "<html>",
        "[]",
        r#"{"user_code":"1","verification_uri":"https://example.com"}"#,
        r#"{"device_code":"d","user_code":"1\u001b[2J","verification_uri":"https://example.com"}"#,
        r#"{"device_code":"d","user_code":"1","verification_uri":"http://example.com"}"#,
    ] {
        let script = Script { replies: Arc::new(vec![(200, body)]), clock, requests: Arc::default() };
        let store = TokenStore::open(&folder.path().join("token"), Box::new(SystemDisk));
        let login = OAuthLogin::with("id", "s3cret".to_owned(), store, Box::new(clock)).unwrap();
        let error = login.http_service(script).by_device().await.unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{body}: {error}");
    }
}
