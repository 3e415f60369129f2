//! The setters of faults, on the builder and on the running sandbox.

use std::time::Duration;

use chrono::TimeDelta;

use super::{
    Sandbox, SandboxBuilder,
    faults::{Effect, InjectedFaults, LinkFault, Response, When},
    items::Malformed,
};

/// Writes each setter for both types, so that they can't drift apart.
macro_rules! injections {
    ($($(#[$docs:meta])* $name:ident($($argument:ident: $type:ty),*) => |$faults:ident| $body:expr;)+) => {
        /// # Faults
        ///
        /// Faults can be combined. The methods of the same names on [`Sandbox`] change them while it runs.
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
        /// A fault applies from the next request. Faults that the builder has set stay until they are set again;
        /// [`clear_faults`](Sandbox::clear_faults) ends all of them.
        impl Sandbox {
            $(
                $(#[$docs])*
                pub fn $name(&self, $($argument: $type),*) {
                    let $faults = &mut *self.state.faults();
                    $body;
                }
            )+

            /// Ends every fault, including the limits on cursors and the release of late events
            /// ([`late_every`](Sandbox::late_every)).
            pub fn clear_faults(&self) {
                *self.state.faults() = InjectedFaults::default();
            }
        }
    };
}

injections! {
    /// Lets at most this number of authorized requests through in each period, lists and single events together.
    /// The response to any other is a 429 with an HTML body and a `Retry-After` of the seconds until the end of the
    /// period, rounded up. A period begins with the first request after the previous period. Periods are measured
    /// in real time, to which [`Sandbox::advance`] adds. 0 requests mean no limit, which is the default.
    rate_limit(requests: u32, period: Duration) => |faults| faults.limit(requests, period);

    /// Sends this as the `Retry-After` of [`rate_limit`](Self::rate_limit) instead of the number
    /// of seconds, such as `rand(30),add(30)`, which the service has been observed to send.
    rate_limit_header(value: impl Into<String>) => |faults| faults.rate_limit_header = Some(value.into());

    /// Waits this long before the response to each of these requests. Several such waits add up.
    latency(when: When, wait: Duration) => |faults| faults.add(when, Effect::Latency(wait));

    /// Sends this response to these requests instead of the true one, before the token is checked.
    ///
    /// ```
    /// # use webex_events::sandbox::{Response, Sandbox, When};
    /// let _ = Sandbox::builder()
    ///     .fail(When::next(2), Response::status(503).retry_after(1))
    ///     .fail(When::every(50), Response::status(200).body("application/json", "{}"));
    /// ```
    fail(when: When, response: Response) => |faults| faults.add(when, Effect::Respond(response));

    /// Closes the connection of these requests without a response.
    drop_connections(when: When) => |faults| faults.add(when, Effect::Drop);

    /// Sends only this fraction, 0 to 1, of the bodies of these responses, and closes the connection.
    /// `Content-Length` states the whole length, and at least the last byte is missing.
    cut_bodies(when: When, fraction: f64) => |faults| faults.add(when, Effect::Cut(fraction));

    /// Sends the bodies of these responses at this number of bytes a second (at least 1), in small pieces,
    /// twenty times a second.
    slow_bodies(when: When, bytes_per_second: u64) => |faults| faults.add(when, Effect::Pace(bytes_per_second));

    /// Replaces the `next` link in the pages of these requests. Only requests for a list whose page has such a link
    /// count. If several faults apply, the one that was set first does.
    links(when: When, fault: LinkFault) => |faults| faults.add(when, Effect::Link(fault));

    /// Adds `shift`, which may be negative, to the `Date` header of the responses to these requests. Everything else
    /// follows the sandbox's clock. If several shifts apply, the one that was set first does. A date that the header
    /// can't express becomes the nearest that it can. The default is no shift.
    ///
    /// ```
    /// # use chrono::TimeDelta;
    /// # use webex_events::sandbox::{Sandbox, When};
    /// // One node of ten has a clock that is an hour fast.
    /// let _ = Sandbox::builder().wrong_dates(When::every(10), TimeDelta::hours(1));
    /// ```
    wrong_dates(when: When, shift: TimeDelta) => |faults| faults.add(when, Effect::Date(shift));

    /// Makes every `n`-th event a [`Malformed`] item in pages. Events are numbered as they are generated: the newest
    /// at the start is 0, late and pushed events follow. So without filters and shuffling these are the `n`-th,
    /// `2n`-th, … of the list. 0, the default, makes none. `GET /v1/events/{id}` still returns the event.
    malformed_every(n: u64) => |faults| faults.items().every = n;

    /// Makes the events with these numbers malformed items, numbered as for
    /// [`malformed_every`](Self::malformed_every).
    malformed_at(numbers: impl IntoIterator<Item = u64>) => |faults| faults.items().at = numbers.into_iter().collect();

    /// Sets the shapes that malformed items take in turn. The default is [`Malformed::ALL`].
    malformed_as(shapes: impl IntoIterator<Item = Malformed>) => |faults| faults.items().shapes = shapes.into_iter().collect();

    /// Adds to every `n`-th event in pages an `errors` object with a `kms_failure`, and replaces its `data.text`, if
    /// it has one, by ciphertext. 0, the default, changes none. `GET /v1/events/{id}` returns the event decrypted.
    field_errors_every(n: u64) => |faults| faults.items().field_errors_every = n;

    /// Inserts this number of empty pages, each with a `next` link, between a page with events and the next
    /// one. The default is 0.
    empty_pages(count: u32) => |faults| faults.empty_pages = count;

    /// Inserts an endless number of empty pages after the first page with events, each with another `next` link.
    /// Off by default.
    endless_empty_pages(on: bool) => |faults| faults.endless_empty_pages = on;

    /// Adds to the last page with events a `next` link to an empty page that has none, which the
    /// service's documentation allows. Off by default: there is a next link only if another event remains.
    trailing_empty_page(on: bool) => |faults| faults.trailing_empty_page = on;

    /// Makes a cursor expire after this number of uses; each request with the cursor is one use.
    /// With 0 it expires immediately. The default is no limit.
    cursor_uses(uses: u32) => |faults| faults.expiry.uses = Some(uses);

    /// Makes a cursor expire at this time after it was first given out, by the sandbox's clock. The
    /// default is no limit.
    cursor_lifetime(lifetime: Duration) => |faults| faults.expiry.lifetime = Some(lifetime);

    /// Sets the status of the response to an expired cursor: 404, the default, 400 or 410.
    cursor_status(status: u16) => |faults| faults.expiry.status = status;

    /// Releases one late event after every `n`-th list request. 0, the default, releases none.
    late_every(n: u64) => |faults| faults.late_every = n;
}
