//! Entry points of the benchmarks, fuzz targets and tests. Not part of the API: they can change with any version.

use std::sync::Arc;

use url::Url;

pub use crate::clock::manual::ManualClock;
use crate::{
    client::ClientBuilder,
    error::Result,
    event::Event,
    link::{self, AllowedOrigins},
    page,
};

/// Returns the number of items of a page; `None` if the body isn't a page.
#[must_use]
pub fn decode_page(body: Vec<u8>) -> Option<impl ExactSizeIterator<Item = Result<Event>>> {
    let batch = Arc::new(page::decode(body).ok()?);
    Some((0..batch.len()).map(move |index| Event::of(&batch, index)))
}

/// The next link in the headers of the page at `page`.
#[must_use]
pub fn next_link(headers: &[&[u8]], page: &str) -> Option<String> {
    let page = Url::parse(page).ok()?;
    let links = link::links(headers, &page, &AllowedOrigins::new(&page)).ok()?;
    links.next.map(Into::into)
}

/// Makes the client use this clock instead of the system's.
pub fn with_clock(builder: ClientBuilder, clock: &ManualClock) -> ClientBuilder {
    builder.clock(Arc::new(clock.clone()))
}
