//! The spans and log events of a list, under the names that the crate's documentation lists as stable.
//!
//! Nothing here takes a query string or a token: a URL gives its host and path, and a tracking id comes masked.

use tracing::{Span, field::Empty};
use url::Url;

/// A span for one page, over all its attempts and waits.
pub(crate) fn page(url: &Url) -> Span {
    tracing::info_span!(
        "webex.page",
        server.address = url.host_str(),
        url.path = url.path(),
        http.request.resend_count = Empty,
        webex.page.items = Empty,
        webex.tracking_id = Empty,
    )
}

/// A span for one request, the `attempt_number`-th for its page.
pub(crate) fn attempt(url: &Url, attempt_number: u32) -> Span {
    tracing::info_span!(
        "GET",
        otel.kind = "client",
        http.request.method = "GET",
        http.request.resend_count = (attempt_number > 1).then(|| attempt_number - 1),
        http.response.status_code = Empty,
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        url.path = url.path(),
        webex.tracking_id = Empty,
        error.r#type = Empty,
    )
}

/// The span of a list, and its log events: one at its start and one at its end, even if it is dropped.
#[derive(Debug)]
pub(crate) struct ListTrace {
    span: Span,
    pages: u64,
    items: u64,
    outcome: &'static str,
}

impl ListTrace {
    pub(crate) fn start(url: &Url) -> Self {
        let span = tracing::info_span!(
            "webex.list",
            server.address = url.host_str(),
            url.path = url.path(),
            webex.list.pages = Empty,
            webex.list.items = Empty,
            webex.list.outcome = Empty,
        );
        span.in_scope(|| tracing::info!("list started"));
        Self { span, pages: 0, items: 0, outcome: "stopped" }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn add_page(&mut self, items: usize) {
        self.pages += 1;
        self.items += items as u64;
    }

    /// The page without a next link has arrived.
    pub(crate) fn complete(&mut self) {
        self.outcome = "complete";
    }

    pub(crate) fn fail(&mut self) {
        self.outcome = "failed";
    }
}

impl Drop for ListTrace {
    fn drop(&mut self) {
        let Self { span, pages, items, outcome } = self;
        span.record("webex.list.pages", *pages);
        span.record("webex.list.items", *items);
        span.record("webex.list.outcome", *outcome);
        span.in_scope(|| tracing::info!(pages, items, outcome, "list ended"));
    }
}
