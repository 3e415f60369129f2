//! The setters of faults: each once on the builder, and once on the running sandbox.

use std::time::Duration;

use super::{
    Sandbox, SandboxBuilder,
    faults::{Effect, Faults, LinkFault, Response, When},
    items::Malformed,
};

/// Writes each setter for both types, so that they can't drift apart.
macro_rules! injections {
    ($($(#[$docs:meta])* $name:ident($($argument:ident: $type:ty),*) => |$faults:ident| $body:expr;)+) => {
        /// # Faults
        ///
        /// They can be combined, and changed while the sandbox runs by the methods of the same
        /// names on [`Sandbox`].
        impl SandboxBuilder {
            $(
                $(#[$docs])*
                pub fn $name(mut self, $($argument: $type),*) -> Self {
                    let $faults = &mut self.faults;
                    $body;
                    self
                }
            )+
        }

        /// # Faults
        ///
        /// From the next request on. What the builder has set stays until it is set again;
        /// [`clear_faults`](Sandbox::clear_faults) ends all of it.
        impl Sandbox {
            $(
                $(#[$docs])*
                pub fn $name(&self, $($argument: $type),*) {
                    let $faults = &mut *self.state.faults();
                    $body;
                }
            )+

            /// Ends every fault; the limits on cursors and the release of late events
            /// ([`late_every`](Sandbox::late_every)) too.
            pub fn clear_faults(&self) {
                *self.state.faults() = Faults::default();
            }
        }
    };
}

injections! {
    /// Lets so many authorized requests through in each period, lists and single events together;
    /// any more are answered 429 with `Retry-After` in whole seconds, rounded up, until the period
    /// is over, and a body of HTML. A period begins with the first request behind the last period.
    /// Goes by real time. 0 requests: no limit, the default.
    rate_limit(requests: u32, period: Duration) => |faults| faults.limit(requests, period);

    /// Sends this as the `Retry-After` of [`rate_limit`](Self::rate_limit) in place of the number
    /// of seconds, such as `rand(30),add(30)`, which the service has been seen to send.
    rate_limit_header(value: impl Into<String>) => |faults| faults.rate_limit_header = Some(value.into());

    /// Waits so long before each of these requests is answered. Several such waits add up.
    latency(when: When, wait: Duration) => |faults| faults.add(when, Effect::Latency(wait));

    /// Gives these requests another answer than the true one, before their token is looked at.
    ///
    /// ```
    /// # use webex_events::sandbox::{Response, Sandbox, When};
    /// let _ = Sandbox::builder()
    ///     .fail(When::next(2), Response::status(503).retry_after(1))
    ///     .fail(When::every(50), Response::status(200).body("application/json", "{}"));
    /// ```
    fail(when: When, answer: Response) => |faults| faults.add(when, Effect::Respond(answer));

    /// Closes the connection of these requests without an answer.
    drop_connections(when: When) => |faults| faults.add(when, Effect::Drop);

    /// Sends only this fraction of the body of these answers, 0 to 1, and closes the connection.
    /// `Content-Length` promises the whole, and at least the last byte is missing.
    cut_bodies(when: When, fraction: f64) => |faults| faults.add(when, Effect::Cut(fraction));

    /// Sends the bodies of these answers at so many bytes a second (at least 1), in small pieces,
    /// twenty times a second.
    slow_bodies(when: When, bytes_per_second: u64) => |faults| faults.add(when, Effect::Pace(bytes_per_second));

    /// Gives the pages of these requests another `next` link. Only lists count, and only pages that
    /// have such a link. Several may be set; the first that applies is taken.
    links(when: When, fault: LinkFault) => |faults| faults.add(when, Effect::Link(fault));

    /// Makes every `n`-th event a [`Malformed`] item in pages, by the number that it got when it was
    /// made: at the start the newest is 0, so that without filters and shuffling these are the
    /// `n`-th, `2n`-th, … of the list; late and pushed events follow. 0, the default, makes none.
    /// `GET /v1/events/{id}` still has the event.
    malformed_every(n: u64) => |faults| faults.items().every = n;

    /// Makes the events of these numbers malformed items, counted as in
    /// [`malformed_every`](Self::malformed_every) from 0.
    malformed_at(numbers: impl IntoIterator<Item = u64>) => |faults| faults.items().at = numbers.into_iter().collect();

    /// What malformed items are, in turn. The default is [`Malformed::ALL`].
    malformed_as(shapes: impl IntoIterator<Item = Malformed>) => |faults| faults.items().shapes = shapes.into_iter().collect();

    /// Gives every `n`-th event in pages an `errors` object with a `kms_failure`, and ciphertext for
    /// its `data.text` if it has one. 0, the default, gives none. `GET /v1/events/{id}` has the
    /// event in clear.
    field_errors_every(n: u64) => |faults| faults.items().field_errors_every = n;

    /// Puts so many empty pages, each with a `next` link, between a page with events and the next
    /// one. Default: 0.
    empty_pages(count: u32) => |faults| faults.empty_pages = count;

    /// Follows the first page with events with empty pages for ever, each with another `next` link.
    /// Default: off.
    endless_empty_pages(on: bool) => |faults| faults.endless_empty_pages = on;

    /// Gives the last page with events a `next` link to an empty page that has none, which the
    /// service's documentation allows. Default: off; the next link exists iff another event remains.
    trailing_empty_page(on: bool) => |faults| faults.trailing_empty_page = on;

    /// Makes a cursor expire once it was used so many times; one use is one list request with it.
    /// 0: at once. The default is no limit.
    cursor_uses(uses: u32) => |faults| faults.expiry.uses = Some(uses);

    /// Makes a cursor expire so long after it was first given out, by the sandbox's clock. The
    /// default is no limit.
    cursor_lifetime(lifetime: Duration) => |faults| faults.expiry.lifetime = Some(lifetime);

    /// What an expired cursor is answered with: 404, the default, 400 or 410.
    cursor_status(status: u16) => |faults| faults.expiry.status = status;

    /// Releases one late event behind every `n`-th list request. 0, the default, releases none.
    late_every(n: u64) => |faults| faults.late_every = n;
}
