//! `HttpService`: the transport interface.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::{Stream, future::BoxFuture};

use super::builtin;
use crate::error::TransportError;

/// Sends one request and returns one response: the transport interface of the crate, for applications that have an HTTP
/// stack of their own. The default is a client of the crate `reqwest`. It is set by
/// [`ClientBuilder::http_service`](crate::ClientBuilder::http_service) and
/// [`OAuth::http_service`](crate::OAuth::http_service).
///
/// Everything else stays with the [`Client`](crate::Client): retries, pauses, pace, the token, the check of origins,
/// redirects, decompression, limits of size and time.
///
/// # Contract
///
/// An implementation
///
/// - sends the request as it is, to the host of its URI and byte for byte, and adds only the headers that the
///   connection needs;
/// - follows no redirect: the token must not leave the allowed origins;
/// - doesn't decode the body, or else removes `Content-Encoding` and `Content-Length`;
/// - sends a request once: retries are the client's, which waits in between;
/// - returns the response when its headers have arrived, and reads the body as the stream is polled. A body that
///   breaks off ends with an `Err`.
///
/// A response that shows a breach is an error: a 3xx, a `Content-Encoding` other than gzip, a body of another
/// length than its `Content-Length`. A future that is dropped aborts the request.
///
/// # Examples
///
/// A recording double, for tests that need no socket:
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use bytes::Bytes;
/// use futures::{TryStreamExt, future::BoxFuture};
/// use webex_events::{Client, HttpBody, HttpService, ListEvents, TransportError};
///
/// #[derive(Debug, Default)]
/// struct Recorder {
///     paths: Mutex<Vec<String>>,
/// }
///
/// impl HttpService for Recorder {
///     fn call(
///         &self,
///         request: http::Request<Bytes>,
///     ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
///         self.paths.lock().unwrap().push(request.uri().path().to_owned());
///         let page = Bytes::from_static(br#"{"items":[]}"#);
///         Box::pin(async { Ok(http::Response::new(HttpBody::from(page))) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> webex_events::Result<()> {
/// let recorder = Arc::new(Recorder::default());
/// let client = Client::builder().token("NGRjZmQ5ZDAt").http_service(Arc::clone(&recorder)).build()?;
/// let events: Vec<_> = client.list(ListEvents::new()).try_collect().await?;
/// assert!(events.is_empty());
/// assert_eq!(*recorder.paths.lock().unwrap(), ["/v1/events"]);
/// # Ok(())
/// # }
/// ```
///
/// A `reqwest` client of your own, such as one with the system's TLS library. Its redirects and its decoder are
/// off:
///
/// ```
/// use bytes::Bytes;
/// use futures::{TryStreamExt, future::BoxFuture};
/// use webex_events::{Client, HttpBody, HttpService, TransportError, TransportErrorKind};
///
/// #[derive(Debug)]
/// struct OwnClient(reqwest::Client);
///
/// /// Errors of `reqwest` hold the URL with its query.
/// fn failed(error: reqwest::Error) -> TransportError {
///     let kind = match &error {
///         error if error.is_timeout() => TransportErrorKind::TimedOut,
///         _ => TransportErrorKind::Other,
///     };
///     TransportError::with_kind(kind, "the request failed", error.without_url())
/// }
///
/// impl HttpService for OwnClient {
///     fn call(
///         &self,
///         request: http::Request<Bytes>,
///     ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
///         Box::pin(async move {
///             let request = reqwest::Request::try_from(request).map_err(failed)?;
///             let mut response = self.0.execute(request).await.map_err(failed)?;
///             let mut converted = http::Response::builder().status(response.status());
///             if let Some(headers) = converted.headers_mut() {
///                 *headers = std::mem::take(response.headers_mut());
///             }
///             let body = HttpBody::from_stream(response.bytes_stream().map_err(failed));
///             converted.body(body).map_err(|error| TransportError::new("the response is invalid", error))
///         })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let own = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::none())
///     .no_gzip() // `gzip(false)` with the feature `gzip`
///     .build()?;
/// let client = Client::builder().token("NGRjZmQ5ZDAt").http_service(OwnClient(own)).build()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// Layers of `tower`, here a time limit and at most four concurrent requests, over a service that calls yours:
///
/// ```
/// use std::{error::Error, sync::Arc, time::Duration};
///
/// use bytes::Bytes;
/// use futures::future::BoxFuture;
/// use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
/// use webex_events::{Client, HttpBody, HttpService, TransportError, TransportErrorKind};
///
/// type BoxError = Box<dyn Error + Send + Sync>;
/// type Stack = BoxCloneSyncService<http::Request<Bytes>, http::Response<HttpBody>, BoxError>;
///
/// #[derive(Debug)]
/// struct Tower(Stack);
///
/// impl HttpService for Tower {
///     fn call(
///         &self,
///         request: http::Request<Bytes>,
///     ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
///         // Clones share the limit.
///         let stack = self.0.clone();
///         Box::pin(async move {
///             stack.oneshot(request).await.map_err(|error| {
///                 let kind = match error.is::<tower::timeout::error::Elapsed>() {
///                     true => TransportErrorKind::TimedOut,
///                     false => TransportErrorKind::Other,
///                 };
///                 TransportError::with_kind(kind, "the request failed", error)
///             })
///         })
///     }
/// }
///
/// fn layered(inner: Arc<dyn HttpService>) -> Tower {
///     let call = move |request| {
///         let inner = Arc::clone(&inner);
///         async move { inner.call(request).await }
///     };
///     let stack = ServiceBuilder::new()
///         .timeout(Duration::from_secs(20)) // until the headers have arrived
///         .concurrency_limit(4)
///         .service_fn(call);
///     Tower(BoxCloneSyncService::new(stack.map_err(BoxError::from)))
/// }
/// # let _ = layered;
/// ```
pub trait HttpService: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` and returns the response, whatever its status.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if there is no response. The client retries it. Its texts must not contain a query string.
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>>;
}

impl<S: HttpService + ?Sized> HttpService for Arc<S> {
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
        (**self).call(request)
    }
}

impl<S: HttpService + ?Sized> HttpService for Box<S> {
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
        (**self).call(request)
    }
}

/// The body of a response that an [`HttpService`] returns: a stream of its bytes.
///
/// ```
/// use bytes::Bytes;
/// use futures::{TryStreamExt, stream};
/// use webex_events::{HttpBody, TransportError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TransportError> {
/// let chunks = [Ok(Bytes::from_static(b"{\"items\":")), Ok(Bytes::from_static(b"[]}"))];
/// let body = HttpBody::from_stream(stream::iter(chunks));
/// assert_eq!(body.try_collect::<Vec<_>>().await?.concat(), b"{\"items\":[]}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a body is read by polling it"]
pub struct HttpBody(Chunks);

enum Chunks {
    Whole(Option<Bytes>),
    Builtin(builtin::Body),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>),
}

impl HttpBody {
    /// A body whose chunks come from a stream. An `Err` means that the body broke off, and is its last item.
    pub fn from_stream(stream: impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static) -> Self {
        Self(Chunks::Stream(Box::pin(stream)))
    }

    pub(super) fn of_builtin(body: builtin::Body) -> Self {
        Self(Chunks::Builtin(body))
    }
}

impl From<Bytes> for HttpBody {
    fn from(bytes: Bytes) -> Self {
        Self(Chunks::Whole(Some(bytes)))
    }
}

impl Stream for HttpBody {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Chunks::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Chunks::Builtin(body) => body.poll_chunk(cx),
            Chunks::Stream(stream) => stream.as_mut().poll_next(cx),
        }
    }
}

impl fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBody").finish_non_exhaustive()
    }
}
