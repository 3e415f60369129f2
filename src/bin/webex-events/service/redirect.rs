//! The end of a login in the browser: an HTTP server on a loopback port, to which the service's page redirects (RFC 8252
//! section 7.3).

use std::{convert::Infallible, net::Ipv4Addr, num::NonZeroU16, time::Duration};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::error::Failure;

/// The maximum number of connections, some of which a browser opens in advance.
const CONNECTIONS: usize = 32;
/// The maximum time for receiving the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// The maximum size of a head: the code has a few hundred bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// The maximum time for sending the last page.
const LAST_PAGE: Duration = Duration::from_secs(2);
const PATH: &str = "/callback";

/// The server, which accepts connections while it is polled.
#[derive(Debug)]
pub(crate) struct RedirectListener {
    listener: TcpListener,
    connections: JoinSet<()>,
    sender: mpsc::Sender<Redirect>,
    redirects: mpsc::Receiver<Redirect>,
}

/// The request of a browser that was redirected.
pub(crate) struct Redirect {
    /// The whole URL, which holds a secret.
    pub(crate) url: String,
    page: oneshot::Sender<bool>,
    /// Closed when the connection is.
    connection: watch::Receiver<()>,
}

impl Redirect {
    /// Shows the result in the browser, which may have closed the connection.
    pub(crate) async fn respond(mut self, is_complete: bool) {
        let _ = self.page.send(is_complete);
        let _ = tokio::time::timeout(LAST_PAGE, self.connection.changed()).await;
    }
}

impl RedirectListener {
    pub(crate) async fn bind(port: NonZeroU16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.get()))
            .await
            .map_err(|error| Failure::redirect_port(port, &error))?;
        let (sender, redirects) = mpsc::channel(1);
        Ok(Self { listener, connections: JoinSet::new(), sender, redirects })
    }

    /// Waits for a redirect.
    pub(crate) async fn next(&mut self) -> Redirect {
        loop {
            tokio::select! {
                Some(redirect) = self.redirects.recv() => return redirect,
                Some(_) = self.connections.join_next() => {}
                accepted = self.listener.accept(), if self.connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    // It fails temporarily, for example without free file handles.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    fn serve(&mut self, stream: tokio::net::TcpStream) {
        let sender = self.sender.clone();
        self.connections.spawn(async move {
            let (_open, closed) = watch::channel(());
            let handler = service_fn(move |request| {
                let (sender, closed) = (sender.clone(), closed.clone());
                async move { Ok::<_, Infallible>(respond(&request, &sender, closed).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(LONGEST_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), handler);
            // Nobody can be told if the connection fails.
            let _ = connection.await;
        });
    }
}

async fn respond(
    request: &Request<Incoming>,
    sender: &mpsc::Sender<Redirect>,
    connection: watch::Receiver<()>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return reply(StatusCode::NOT_FOUND, "There is no such page");
    }
    if request.method() != Method::GET {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, "Only GET is allowed");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refusal;
    }
    let (page, result) = oneshot::channel();
    let url = format!("http://127.0.0.1{PATH}?{}", request.uri().query().unwrap_or_default());
    // A second redirect isn't read, and one of another login is dropped.
    let _ = sender.try_send(Redirect { url, page, connection });
    match result.await {
        Ok(true) => reply(StatusCode::OK, "The login is complete. You can close this page"),
        Ok(false) => reply(StatusCode::BAD_REQUEST, "The login has failed. The terminal says why"),
        Err(_) => {
            reply(StatusCode::CONFLICT, "No login waits for this page. Open the one that the terminal shows")
        }
    }
}

fn reply(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>webex-events</title></head>\
         <body><h1>{message}.</h1></body></html>\n"
    );
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
