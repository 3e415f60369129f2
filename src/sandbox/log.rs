//! The log of the requests that a sandbox has received.

use std::{collections::VecDeque, time::Duration};

/// The part of the service that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `GET /v1/events`.
    List,
    /// `GET /v1/events/{id}`.
    Event,
    /// `POST /v1/access_token`.
    AccessToken,
    /// `GET` and `POST /v1/authorize` and `/v1/device/verify`: the pages on which a user decides.
    Authorization,
    /// `POST /v1/device/authorize`.
    DeviceAuthorization,
    /// `POST /v1/device/token`.
    DeviceToken,
    /// Anything else. The response is a 404 or 405.
    Other,
}

/// A request that a sandbox has received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path and the query, byte for byte as received.
    pub target: String,
    /// The part of the service that the request was for.
    pub route: Route,
    /// True if the request had a token that was valid at that time.
    pub authorized: bool,
    /// The status of the response, even if its body was cut off or isn't complete yet; `None` if the connection was
    /// closed instead.
    pub status: Option<u16>,
    /// The time from the start of the sandbox until the response was decided.
    pub at: Duration,
}

/// Counts since the start of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Requests for a list.
    pub lists: u64,
    /// Requests for one event.
    pub gets: u64,
    /// Requests for an access token: refresh grants and codes.
    pub refreshes: u64,
    /// Responses with the status 200.
    pub succeeded: u64,
    /// Responses with the status 401.
    pub unauthorized: u64,
    /// Responses with the status 429.
    pub rate_limited: u64,
    /// Responses with a status of 500 or more.
    pub server_errors: u64,
    /// Requests without a response, whose connection was closed.
    pub dropped: u64,
    /// Items in pages, including malformed ones.
    pub items: u64,
}

#[derive(Debug)]
pub(super) struct Log {
    counts: Counts,
    last: VecDeque<Request>,
    capacity: usize,
}

impl Log {
    pub(super) fn new(capacity: usize) -> Self {
        Self { counts: Counts::default(), last: VecDeque::new(), capacity }
    }

    pub(super) fn record(&mut self, request: Request, items: usize) {
        let counts = &mut self.counts;
        counts.requests += 1;
        counts.items += items as u64;
        match request.route {
            Route::List => counts.lists += 1,
            Route::Event => counts.gets += 1,
            Route::AccessToken => counts.refreshes += 1,
            Route::Authorization | Route::DeviceAuthorization | Route::DeviceToken | Route::Other => {}
        }
        match request.status {
            Some(200) => counts.succeeded += 1,
            Some(401) => counts.unauthorized += 1,
            Some(429) => counts.rate_limited += 1,
            Some(500..) => counts.server_errors += 1,
            Some(_) => {}
            None => counts.dropped += 1,
        }
        if self.capacity == 0 {
            return;
        }
        if self.last.len() == self.capacity {
            self.last.pop_front();
        }
        self.last.push_back(request);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn last(&self) -> Vec<Request> {
        self.last.iter().cloned().collect()
    }
}
