//! The HTTP service: routes, tokens and error bodies.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, LINK, LOCATION,
        RETRY_AFTER,
    },
    request::Parts,
};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use super::{
    body::ResponseBody,
    clock::SandboxClock,
    cursor::IssuedCursors,
    faults::{self, InjectedFaults},
    json,
    log::{Log, Request, Route},
    login::{IssuedCodes, LoginReply},
    oauth::IssuedTokens,
    query::{Bounds, Query},
    random::{Purpose, Random, hyphenated},
    store::Store,
};
use crate::sync::lock;

const JSON: &str = "application/json;charset=UTF-8";
const HTML: &str = "text/html; charset=utf-8";
const TRACKING_ID: HeaderName = HeaderName::from_static("trackingid");
const MAX_FORM_BYTES: usize = 64 << 10;
/// The last instant that an HTTP date can express.
const LAST_DATE: u64 = 253_402_300_799_000;

/// The settings that don't change while a sandbox runs.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceOptions {
    pub(super) bounds: Bounds,
    pub(super) retention: Option<u32>,
    pub(super) gzip: bool,
}

/// Everything that a sandbox and its connections share.
pub(super) struct SandboxState {
    pub(super) base_url: String,
    pub(super) address: SocketAddr,
    pub(super) seed: u64,
    pub(super) options: ServiceOptions,
    pub(super) started: Instant,
    pub(super) clock: SandboxClock,
    store: RwLock<Store>,
    faults: Mutex<InjectedFaults>,
    tokens: Mutex<IssuedTokens>,
    codes: Mutex<IssuedCodes>,
    cursors: Mutex<IssuedCursors>,
    log: Mutex<Log>,
    responses: AtomicU64,
}

/// The parts that a [`SandboxState`] is made of.
pub(super) struct SandboxParts {
    pub(super) address: SocketAddr,
    pub(super) seed: u64,
    pub(super) options: ServiceOptions,
    pub(super) clock: SandboxClock,
    pub(super) store: Store,
    pub(super) faults: InjectedFaults,
    pub(super) tokens: IssuedTokens,
    pub(super) log: Log,
}

/// A refused request, with the service's status and message.
#[derive(Debug)]
pub(super) struct RefusedRequest {
    pub(super) status: u16,
    pub(super) reason: String,
}

impl RefusedRequest {
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self { status: 400, reason: reason.into() }
    }
}

/// A response before its common headers are added.
struct ResponseDraft {
    status: u16,
    content_type: String,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    items: usize,
}

impl ResponseDraft {
    fn new(status: u16, content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let content_type = content_type.into();
        Self { status, content_type, headers: Vec::new(), body: body.into(), items: 0 }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Makes hyper close the connection instead of responding.
#[derive(Debug, thiserror::Error)]
#[error("closed without a response")]
struct Closed;

/// Serves until its task is aborted, which closes all connections too.
pub(super) async fn serve(listener: TcpListener, state: Arc<SandboxState>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Accepting fails for example when there are too many open files, which is temporary.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let respond = service_fn(move |request| respond(Arc::clone(&state), request));
            // An error means that a fault or the client closed the connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
        });
    }
}

async fn respond(
    state: Arc<SandboxState>,
    request: http::Request<Incoming>,
) -> Result<Response<ResponseBody>, Closed> {
    let (parts, body) = request.into_parts();
    let route = route(&parts);
    let query = Query::parse(parts.uri.query().unwrap_or_default()).ok().map(|(query, _)| query);
    let faults = state.faults().judge(route, query.as_ref(), state.started.elapsed(), state.seed);
    if !faults.latency.is_zero() {
        tokio::time::sleep(faults.latency).await;
    }
    let form = if parts.method == Method::POST && route != Route::Other {
        Limited::new(body, MAX_FORM_BYTES).collect().await.map(Collected::to_bytes).unwrap_or_default()
    } else {
        Bytes::new()
    };
    // Read before the store is: a `Date` later than the events of its response would claim too much.
    let now = state.clock.now();
    let authorized = state.is_authorized(&parts.headers);
    let tracking_id = state.next_tracking_id();
    let draft = match (faults.drop, &faults.response) {
        (true, _) => None,
        (false, Some(response)) => Some(injected(response, &tracking_id)),
        (false, None) => Some(state.fulfil(&parts, route, &form, authorized, &tracking_id)),
    };
    state.record(&parts, route, authorized, draft.as_ref());
    let draft = draft.ok_or(Closed)?;
    let shift = faults.date_shift.map_or(0, |shift| shift.num_milliseconds());
    let draft = dated(draft, now.saturating_add(shift)).with(TRACKING_ID, tracking_id);
    Ok(state.finish(draft, &parts.headers, faults.cut, faults.pace))
}

fn route(parts: &Parts) -> Route {
    match (parts.uri.path(), &parts.method) {
        ("/v1/events", &Method::GET) => Route::List,
        ("/v1/access_token", &Method::POST) => Route::AccessToken,
        ("/v1/authorize" | "/v1/device/verify", &Method::GET | &Method::POST) => Route::Authorization,
        ("/v1/device/authorize", &Method::POST) => Route::DeviceAuthorization,
        ("/v1/device/token", &Method::POST) => Route::DeviceToken,
        (path, &Method::GET) if event_id(path).is_some() => Route::Event,
        _ => Route::Other,
    }
}

/// The last segment of `/v1/events/{id}`, as it was received.
fn event_id(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/events/").filter(|id| !id.is_empty() && !id.contains('/'))
}

fn injected(response: &faults::Response, tracking_id: &str) -> ResponseDraft {
    let status = if (200..1000).contains(&response.status) { response.status } else { 500 };
    let draft = match &response.body {
        Some((content_type, text)) => ResponseDraft::new(status, content_type, text.as_bytes()),
        None if matches!(status, 429 | 502) => html(status),
        None => refusal(status, phrase(status), tracking_id),
    };
    match &response.retry_after {
        Some(value) => draft.with(RETRY_AFTER, value),
        None => draft,
    }
}

fn dated(draft: ResponseDraft, now: i64) -> ResponseDraft {
    let now = u64::try_from(now).unwrap_or_default().min(LAST_DATE);
    draft.with(DATE, httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(now)))
}

fn phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}

/// An HTML page as gateways send it.
fn html(status: u16) -> ResponseDraft {
    let title = format!("{status} {}", phrase(status));
    let page = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
    ResponseDraft::new(status, "text/html", page)
}

/// The error body that the service's reference documents.
fn refusal(status: u16, message: &str, tracking_id: &str) -> ResponseDraft {
    let mut body = Vec::with_capacity(2 * message.len() + 128);
    let mut object = json::Object::new(&mut body);
    object.text("message", message);
    let errors = object.key("errors");
    errors.push(b'[');
    let mut error = json::Object::new(errors);
    error.text("description", message);
    error.end();
    errors.push(b']');
    object.text("trackingId", tracking_id);
    object.end();
    ResponseDraft::new(status, JSON, body)
}

impl SandboxState {
    pub(super) fn new(parts: SandboxParts) -> Self {
        Self {
            base_url: format!("http://{}/v1", parts.address),
            address: parts.address,
            seed: parts.seed,
            options: parts.options,
            started: Instant::now(),
            clock: parts.clock,
            store: RwLock::new(parts.store),
            faults: Mutex::new(parts.faults),
            tokens: Mutex::new(parts.tokens),
            codes: Mutex::new(IssuedCodes::new(parts.seed)),
            cursors: Mutex::default(),
            log: Mutex::new(parts.log),
            responses: AtomicU64::new(0),
        }
    }

    pub(super) fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store_mut(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, InjectedFaults> {
        lock(&self.faults)
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, IssuedTokens> {
        lock(&self.tokens)
    }

    pub(super) fn cursors(&self) -> MutexGuard<'_, IssuedCursors> {
        lock(&self.cursors)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(super) fn origin(&self) -> &str {
        self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url)
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(AUTHORIZATION);
        value.is_some_and(|value| self.tokens().accepts(value.as_bytes(), self.clock.now()))
    }

    fn next_tracking_id(&self) -> String {
        let number = self.responses.fetch_add(1, Ordering::Relaxed);
        let uuid = hyphenated(Random::new(self.seed, Purpose::Tracking, number).uuid());
        format!("ROUTER_{}", String::from_utf8_lossy(&uuid).to_uppercase())
    }

    /// The true response, with no fault except the rate limit.
    fn fulfil(
        &self,
        parts: &Parts,
        route: Route,
        form: &[u8],
        authorized: bool,
        tracking_id: &str,
    ) -> ResponseDraft {
        if route == Route::Other {
            return Self::unrouted(parts, tracking_id);
        }
        if let Some(reply) = self.log_in(parts, route, form) {
            return match reply {
                LoginReply::Page(status, page) => ResponseDraft::new(status, HTML, page),
                LoginReply::Redirect(url) => ResponseDraft::new(302, HTML, "").with(LOCATION, url),
                LoginReply::Json(reply) => ResponseDraft::new(200, JSON, reply),
                LoginReply::Refused((status, reason)) => refusal(status, reason, tracking_id),
            };
        }
        if !authorized {
            let message =
                "The request requires a valid access token set in the Authorization request header.";
            return refusal(401, message, tracking_id);
        }
        if let Err(draft) = self.throttle() {
            return draft;
        }
        let response = match event_id(parts.uri.path()) {
            Some(id) => self.event(id),
            None => self.list(parts.uri.query().unwrap_or_default()).map(|page| {
                let draft = ResponseDraft { items: page.items, ..ResponseDraft::new(200, JSON, page.body) };
                page.links.into_iter().fold(draft, |draft, link| draft.with(LINK, link))
            }),
        };
        response.unwrap_or_else(|refused| {
            // The real service's router wraps the message of the server that it forwards to.
            let RefusedRequest { status, reason } = refused;
            let message = format!(
                "GET failed: HTTP/1.1 {status} {} (url = {}{}, request/response TrackingId = {tracking_id}, error = '{reason}')",
                phrase(status),
                self.origin(),
                parts.uri.path(),
            );
            refusal(status, &message, tracking_id)
        })
    }

    /// The response to a request of a login or for a token; none for another request.
    fn log_in(&self, parts: &Parts, route: Route, form: &[u8]) -> Option<LoginReply> {
        if matches!(route, Route::List | Route::Event) {
            return None;
        }
        let now = self.clock.now();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let (mut tokens, mut codes) = (self.tokens(), lock(&self.codes));
        let client_id = tokens.client().0.to_owned();
        let granted = |granted: Result<String, _>| granted.map_or_else(LoginReply::Refused, LoginReply::Json);
        let reply = match (route, parts.uri.path(), &parts.method) {
            (Route::AccessToken, ..) => granted(tokens.grant(form, &mut codes, now)),
            (Route::Authorization, "/v1/authorize", &Method::GET) => IssuedCodes::page(query, &client_id),
            (Route::Authorization, "/v1/authorize", _) => codes.decide(form, &client_id, now),
            (Route::Authorization, _, &Method::GET) => codes.device_page(query, &client_id),
            (Route::Authorization, ..) => codes.decide_device(form, now),
            (Route::DeviceAuthorization, ..) => codes.device(form, &client_id, &self.base_url, now),
            (Route::DeviceToken, ..) => {
                let credentials = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
                let allowed = tokens.check_basic(credentials).and_then(|()| codes.poll(form, now));
                granted(allowed.map(|()| tokens.log_in(now)))
            }
            (Route::List | Route::Event | Route::Other, ..) => return None,
        };
        Some(reply)
    }

    fn unrouted(parts: &Parts, tracking_id: &str) -> ResponseDraft {
        let allowed = match parts.uri.path() {
            "/v1/access_token" | "/v1/device/authorize" | "/v1/device/token" => Some("POST"),
            "/v1/authorize" | "/v1/device/verify" => Some("GET, POST"),
            path => (path == "/v1/events" || event_id(path).is_some()).then_some("GET"),
        };
        match allowed {
            Some(method) => refusal(405, "Method Not Allowed", tracking_id).with(ALLOW, method),
            None => refusal(404, "The requested resource could not be found.", tracking_id),
        }
    }

    fn throttle(&self) -> Result<(), ResponseDraft> {
        let mut faults = self.faults();
        faults.throttle(self.clock.elapsed()).map_err(|wait| {
            let seconds = wait.as_millis().div_ceil(1000).max(1).to_string();
            html(429).with(RETRY_AFTER, faults.rate_limit_header.clone().unwrap_or(seconds))
        })
    }

    fn event(&self, id: &str) -> Result<ResponseDraft, RefusedRequest> {
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
        let store = self.store();
        let number = store.arrived(&id).filter(|&number| store.created(number) <= self.clock.now());
        number
            .map(|number| ResponseDraft::new(200, JSON, store.text(number)))
            .ok_or_else(|| RefusedRequest { status: 404, reason: "Event not found".to_owned() })
    }

    fn record(&self, parts: &Parts, route: Route, authorized: bool, draft: Option<&ResponseDraft>) {
        let target = parts.uri.path_and_query().map_or(parts.uri.path(), |target| target.as_str());
        let request = Request {
            method: parts.method.to_string(),
            target: target.to_owned(),
            route,
            authorized,
            status: draft.map(|draft| draft.status),
            at: self.started.elapsed(),
        };
        let lists = {
            let mut log = self.log();
            log.record(request, draft.map_or(0, |draft| draft.items));
            log.counts().lists
        };
        let every = self.faults().late_every;
        if route == Route::List && every > 0 && lists.is_multiple_of(every) {
            self.store_mut().release(1);
        }
    }

    fn finish(
        &self,
        mut draft: ResponseDraft,
        request: &HeaderMap,
        cut: Option<f64>,
        pace: Option<u64>,
    ) -> Response<ResponseBody> {
        if self.options.gzip
            && accepts_gzip(request)
            && let Ok(packed) = gzip(&draft.body)
        {
            draft.body = packed;
            draft = draft.with(CONTENT_ENCODING, "gzip");
        }
        let mut response = Response::new(ResponseBody::new(draft.body, cut, pace));
        *response.status_mut() = StatusCode::from_u16(draft.status).unwrap_or_default();
        for (name, value) in [(CONTENT_TYPE, draft.content_type)].into_iter().chain(draft.headers) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && quality.replace(' ', "") != "q=0"
        })
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
