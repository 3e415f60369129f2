//! What the benchmarks reach into. Not part of the API: it can change with any version.

use std::sync::Arc;

use url::Url;

use crate::{
    error::Result,
    event::Event,
    link::{self, AllowedOrigins},
    page,
};

/// The items of a page, or nothing if the body isn't one.
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
