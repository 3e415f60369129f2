//! What a sandbox has seen.

use std::{collections::VecDeque, time::Duration};

/// Which part of the service a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `GET /v1/events`.
    List,
    /// `GET /v1/events/{id}`.
    Event,
    /// `POST /v1/access_token`.
    AccessToken,
    /// Anything else, which is answered 404 or 405.
    Other,
}

/// A request that a sandbox has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// Path and query, byte for byte as they came.
    pub target: String,
    /// Which part of the service it was for.
    pub route: Route,
    /// Whether it had a token that was good at that time.
    pub authorized: bool,
    /// What it was answered with; `None` if the connection was closed instead. A body that was cut
    /// or is still on its way has its status here too.
    pub status: Option<u16>,
    /// When its answer was decided on, from the start of the sandbox on.
    pub at: Duration,
}

/// Counts since the start of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Those for a list.
    pub lists: u64,
    /// Those for one event.
    pub gets: u64,
    /// Those for an access token.
    pub refreshes: u64,
    /// Answered 200.
    pub succeeded: u64,
    /// Answered 401.
    pub unauthorized: u64,
    /// Answered 429.
    pub rate_limited: u64,
    /// Answered 500 or more.
    pub server_errors: u64,
    /// Not answered: the connection was closed.
    pub dropped: u64,
    /// Items in pages, malformed ones too.
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
            Route::Other => {}
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
